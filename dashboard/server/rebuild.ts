import { rm, stat } from 'node:fs/promises'
import type { NumberedReceipt, ParsedUpload, Storage } from '../../analytics/storage.ts'
import { LOCAL_ACTOR } from '../../schemas/audit.ts'
import type { Receipt } from '../../schemas/catalog.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { formatDay } from '../../schemas/time.ts'
import { type DataFolder, keptPath } from './data-folder.ts'
import type { ParsePool } from './parse-pool.ts'
import { parseUpload } from './parse-upload.ts'
import { parsedUpload } from './parsed-upload.ts'
import { refusalOf } from './upload-parser.ts'

/** What became of one UTC day. */
export interface RebuiltDay {
  readonly day: string
  readonly uploads: number
  /** Null when the day keeps the flows it has; then `reason` says why. */
  readonly flows: { readonly before: number; readonly after: number } | null
  readonly reason: string | null
}

interface RebuildParts {
  readonly storage: Storage
  readonly folder: DataFolder
  readonly pool: ParsePool
}

/** Rebuilds each day of the lake whose uploads are all kept; the others keep what they have. */
export async function* rebuildLake(parts: RebuildParts): AsyncGenerator<RebuiltDay> {
  const { storage, folder } = parts
  for (const day of await storage.lakeDays()) {
    const { receipts, numbered } = await storage.uploadsOfDay(day)
    const told = { day: formatDay(day), uploads: receipts.length }
    const gone = await countGone(folder, receipts)
    if (!numbered || gone > 0) {
      const reason = numbered
        ? `the bytes of ${gone} of ${receipts.length} uploads are no longer kept`
        : 'it has uploads of a version that did not note whose flows are whose'
      yield { ...told, flows: null, reason }
      continue
    }
    yield { ...told, flows: await storage.rebuildDay(day, parseAll(parts, receipts), LOCAL_ACTOR), reason: null }
  }
}

async function countGone(folder: DataFolder, receipts: readonly Receipt[]): Promise<number> {
  let gone = 0
  for (const receipt of receipts) if (!(await isKept(folder, receipt))) gone++
  return gone
}

async function isKept(folder: DataFolder, { kind, sensor, sha256 }: Receipt): Promise<boolean> {
  return (await stat(keptPath(folder, kind, sensor, sha256)).catch(() => null)) !== null
}

async function* parseAll(
  { storage, folder, pool }: RebuildParts,
  receipts: readonly NumberedReceipt[],
): AsyncGenerator<ParsedUpload> {
  for (const receipt of receipts) {
    const { kind, sensor, sha256 } = receipt
    const input = keptPath(folder, kind, sensor, sha256)
    const result = await parseUpload(storage, folder, pool, receipt, input)
    if (result.kind !== 'answered') {
      const reason = result.kind === 'died' ? result.reason : 'was stopped'
      throw new TelescopeError('PARSE_FAILED', `upload ${sensor}/${sha256}: the parsing process ${reason}`)
    }
    const { answer, out } = result
    try {
      const refusal = refusalOf(answer)
      if (!answer.ok || refusal !== null) {
        const { code, message } = refusal!
        throw new TelescopeError(code, `upload ${sensor}/${sha256} was counted once and cannot be read now: ${message}`)
      }
      yield parsedUpload(receipt, answer, input)
    } finally {
      await rm(out, { recursive: true, force: true })
    }
  }
}
