import { TelescopeError } from '../../schemas/errors.ts'

/**
 * Runs a step whose failure leaves unknown what the disk holds. A failed fsync is never tried again: the kernel may
 * have dropped the pages, and the next fsync would report success. So the hub has to stop and start from what is there.
 * @param onBroken is told of the failure
 * @throws STORAGE_FAILED; DISK_FULL as it comes, because the storage took that step back by itself
 */
export async function trustedStep<T>(onBroken: (error: unknown) => void, step: () => Promise<T>): Promise<T> {
  try {
    return await step()
  } catch (error) {
    if (isRolledBack(error)) throw error
    onBroken(error)
    throw new TelescopeError(
      'STORAGE_FAILED',
      'hub could not make the upload durable and stops; send it again later',
      {},
      error,
    )
  }
}

/** Whether a failed step left everything as it was. */
export function isRolledBack(error: unknown): boolean {
  return error instanceof TelescopeError && error.code === 'DISK_FULL'
}
