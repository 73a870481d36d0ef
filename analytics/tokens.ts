import { TOKEN, TOKEN_ROLES, type TokenRole } from '../schemas/catalog.ts'
import { appendAudit } from './audit.ts'
import type { Database } from './database.ts'
import { insertRows } from './insert-rows.ts'
import { KeptTable } from './kept-table.ts'
import { formatMicroseconds, type PlainRow } from './rows.ts'
import { bind, sql } from './sql.ts'
import type { Storage, TokenRecord } from './storage.ts'

export async function addToken(
  database: Database,
  token: { sha256: string; id: string; role: TokenRole; sensor: string | null },
  actor: string,
  nowMicros: number,
): Promise<void> {
  const { id, role, sensor } = token
  const note = { actor, action: 'token create', subject: `token ${id}`, details: { role, sensor } }
  await database.transaction(async session => {
    await insertRows(session, 'token', TOKEN, [
      {
        token_sha256: token.sha256,
        token_id: token.id,
        role: TOKEN_ROLES.indexOf(token.role),
        sensor: token.sensor,
        created_at: nowMicros,
        revoked_at: null,
      },
    ])
    await appendAudit(session, note, nowMicros)
  })
}

/** Those that are good, by their SHA-256. */
export function keepTokens(database: Database): KeptTable<TokenRecord> {
  return new KeptTable(async () => {
    const rows = await database.plain(TOKEN, sql`SELECT * FROM token WHERE revoked_at IS NULL`)
    return new Map(rows.map(row => [row.token_sha256, tokenRecord(row)]))
  })
}

export async function listTokens(database: Database): ReturnType<Storage['listTokens']> {
  const rows = await database.plain(TOKEN, sql`SELECT * FROM token ORDER BY created_at, token_id`)
  return rows.map(row => ({
    ...tokenRecord(row),
    created_at: formatMicroseconds(BigInt(row.created_at)),
    revoked_at: row.revoked_at === null ? null : formatMicroseconds(BigInt(row.revoked_at)),
  }))
}

export async function revokeToken(database: Database, id: string, actor: string, nowMicros: number): Promise<boolean> {
  return await database.transaction(async session => {
    const changed = await session.run(
      sql`UPDATE token SET revoked_at = ${bind('timestamp_us', nowMicros)} WHERE token_id = ${bind('text', id)} AND revoked_at IS NULL`,
    )
    if (changed === 0) return false
    await appendAudit(session, { actor, action: 'token revoke', subject: `token ${id}`, details: {} }, nowMicros)
    return true
  })
}

function tokenRecord(row: PlainRow<typeof TOKEN>): TokenRecord {
  return { token_id: row.token_id, role: TOKEN_ROLES[row.role]!, sensor: row.sensor }
}
