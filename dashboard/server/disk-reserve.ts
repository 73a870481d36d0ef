import { statfs } from 'node:fs/promises'
import { TelescopeError } from '../../schemas/errors.ts'

/** Free and total bytes of the file system that a folder is on. */
export type DiskSpace = (folder: string) => Promise<{ free: number; total: number }>

/** Part of the disk that uploads never take: catalog and lake need room to commit what was received. */
const DISK_RESERVE = 0.05

export const diskSpace: DiskSpace = async folder => {
  const { bavail, blocks, bsize } = await statfs(folder)
  return { free: bavail * bsize, total: blocks * bsize }
}

/**
 * @param needed bytes about to be written
 * @throws DISK_FULL
 */
export async function checkDiskReserve(folder: string, needed: number, space: DiskSpace): Promise<void> {
  const { free, total } = await space(folder)
  const reserve = total * DISK_RESERVE
  if (free - needed >= reserve) return
  throw diskFull(
    `disk of the hub has ${toMebibytes(free)} MiB free, and ${toMebibytes(reserve + needed)} MiB are needed with the reserve of ${DISK_RESERVE * 100} %`,
    { free_bytes: free, needed_bytes: needed, reserve_bytes: Math.round(reserve) },
  )
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
