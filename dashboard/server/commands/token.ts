import type { Storage } from '../../../analytics/storage.ts'
import type { Command, CommandArguments } from '../../../schemas/command.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { createToken } from '../credentials.ts'
import { administer } from '../hub-client.ts'
import { DATA_DEFAULT, textOption } from './options.ts'
import { printTable } from './print-table.ts'

export const command: Command = {
  summary: 'make, list and revoke the tokens of a hub',
  usage: `hirundo token create --sensor ID [--data DIR] [--json]
hirundo token create --role analyst|coordinator [--data DIR] [--json]
hirundo token list [--data DIR] [--json]
hirundo token revoke TOKEN_ID [--data DIR]

A token is shown once; the hub keeps only its SHA-256. Works on the hub that runs on the data folder, or on the folder
itself when none runs. A revocation holds from the next request on.

  --sensor ID   the token uploads for this sensor and reads what it recorded
  --role ROLE   analyst reads all numbers, and follows no uploads; coordinator uploads for every sensor and administers, too
  --data DIR    data folder of the hub, default ${DATA_DEFAULT}
  --json        print one JSON object`,
  options: {
    sensor: { type: 'string' },
    role: { type: 'string' },
    data: { type: 'string', default: DATA_DEFAULT },
    json: { type: 'boolean', default: false },
  },
  async run(args) {
    const [action, ...names] = args.positionals
    if (action === 'create' && names.length === 0) return await create(args)
    if (action === 'list' && names.length === 0) return await list(args)
    if (action === 'revoke' && names.length === 1) return await revoke(names[0]!, args)
    throw new TelescopeError(
      'USAGE',
      'token: say "token create", "token list" or "token revoke ID"; see hirundo token --help',
    )
  },
}

async function create({ values }: CommandArguments): Promise<number> {
  const body = Object.fromEntries(
    (['sensor', 'role'] as const).flatMap(name =>
      values[name] === undefined ? [] : [[name, textOption(values, name)]],
    ),
  )
  const made = await administer(textOption(values, 'data'), { method: 'POST', path: '/api/v1/tokens', body }, storage =>
    createToken(storage, body),
  )
  // Alone on its line, so that TOKEN=$(hirundo token create ...) works; what is for people goes to stderr.
  process.stdout.write(values['json'] ? `${JSON.stringify(made)}\n` : `${made.token}\n`)
  if (process.stderr.isTTY) process.stderr.write(`token ${made.token_id}; it is shown this once, keep it safe\n`)
  return 0
}

async function list({ values }: CommandArguments): Promise<number> {
  type Tokens = Awaited<ReturnType<Storage['listTokens']>>
  const answer = await administer<{ tokens: Tokens }>(
    textOption(values, 'data'),
    { method: 'GET', path: '/api/v1/tokens' },
    async storage => ({ tokens: await storage.listTokens() }),
  )
  if (values['json']) process.stdout.write(`${JSON.stringify(answer)}\n`)
  else {
    printTable(
      ['token', 'role', 'sensor', 'made', 'revoked'],
      answer.tokens.map(row => [row.token_id, row.role, row.sensor ?? '', row.created_at, row.revoked_at ?? '']),
    )
  }
  return 0
}

async function revoke(id: string, { values }: CommandArguments): Promise<number> {
  await administer(
    textOption(values, 'data'),
    { method: 'DELETE', path: `/api/v1/tokens/${encodeURIComponent(id)}` },
    async storage => {
      if (await storage.revokeToken(id)) return null
      throw new TelescopeError('NOT_FOUND', `token "${id}": there is none that could be revoked`, { token_id: id })
    },
  )
  process.stdout.write(`token ${id} is revoked\n`)
  return 0
}
