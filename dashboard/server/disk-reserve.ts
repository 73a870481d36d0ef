import { statfs } from 'node:fs/promises'
import { BATCH_BYTES_MAX } from '../../schemas/batch.ts'
import type { UploadKind } from '../../schemas/catalog.ts'
import { TelescopeError } from '../../schemas/errors.ts'

/** Free and total bytes of the file system that a folder is on. */
export type DiskSpace = (folder: string) => Promise<{ free: number; total: number }>

/** What uploads never take: catalog and lake need room to commit what was received. */
const RESERVE_PART = 0.05
/** On a small disk 5 % is less than one checkpoint of the catalog. */
const RESERVE_BYTES_MIN = 16 * 2 ** 20
/** A batch is sent in gzip, in which telescope traffic takes an eighth of its bytes. The hub does not look into it. */
const BATCH_EXPANSION = 8
/**
 * Bytes that counting writes for each byte of content, at most: batches of the parsing child (90 bytes a flow, a small
 * packet's record has 76), lake, rollups and the catalog's log.
 */
const COUNTING_FACTOR = 2

export const diskSpace: DiskSpace = async folder => {
  const { bavail, blocks, bsize } = await statfs(folder)
  return { free: bavail * bsize, total: blocks * bsize }
}

/** Bytes of content that are to be expected of an upload of this many bytes. */
export function contentBytes(kind: UploadKind, received: number): number {
  return kind === 'batch' ? Math.min(received * BATCH_EXPANSION, BATCH_BYTES_MAX) : received
}

/**
 * @param received bytes about to be received; room to count them is kept, too
 * @throws DISK_FULL
 */
export async function checkRoomToReceive(
  folder: string,
  kind: UploadKind,
  received: number,
  space: DiskSpace,
): Promise<void> {
  const { free, total } = await space(folder)
  const needed = received + contentBytes(kind, received) * COUNTING_FACTOR
  const reserve = reserveOf(total)
  if (free - needed >= reserve) return
  throw diskFull(
    `disk of the hub has ${toMebibytes(free)} MiB free, and ${toMebibytes(reserve + needed)} MiB are needed with the reserve`,
    { free_bytes: free, needed_bytes: needed, reserve_bytes: Math.round(reserve) },
  )
}

/**
 * Counting may take half of the reserve; below that it waits, because a catalog that meets a full disk in the middle of
 * a commit cannot be trusted any more.
 */
export async function hasRoomToCount(folder: string, content: number, space: DiskSpace): Promise<boolean> {
  const { free, total } = await space(folder)
  return free - content * COUNTING_FACTOR >= reserveOf(total) / 2
}

function reserveOf(total: number): number {
  return Math.max(total * RESERVE_PART, RESERVE_BYTES_MIN)
}

export function diskFull(reason: string, details: Record<string, number> = {}, cause?: unknown): TelescopeError {
  return new TelescopeError(
    'DISK_FULL',
    `${reason}; the upload was not kept, send it again when there is room`,
    details,
    cause,
  )
}

function toMebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20)
}
