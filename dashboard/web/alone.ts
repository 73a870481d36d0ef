const BUSY = Symbol('busy')

/**
 * Runs `work` while no other tab of this browser runs work of the same name; `onElsewhere` tells that it has to wait.
 * Browsers that know no locks (pages without TLS, besides localhost) run it at once: the hub then ends the slower of
 * two that send the same upload.
 */
export async function alone<T>(
  name: string,
  signal: AbortSignal,
  onElsewhere: () => void,
  work: () => Promise<T>,
): Promise<T> {
  const { locks } = navigator as { locks?: LockManager }
  if (locks === undefined) return await work()
  const key = `hirundo-${name}`
  const outcome = await locks.request(key, { ifAvailable: true }, async lock => (lock === null ? BUSY : await work()))
  if (outcome !== BUSY) return outcome as T
  onElsewhere()
  return (await locks.request(key, { signal }, work)) as T
}
