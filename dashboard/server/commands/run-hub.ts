import { TelescopeError } from '../../../schemas/errors.ts'
import type { Hub } from '../hub.ts'

/**
 * A promise of the first signal that asks the process to end. After it the signals have their own effect again: a
 * second Ctrl-C kills.
 * @param hangUp whether SIGHUP, of a terminal that was closed, is such a signal
 */
export function askedToStop({ hangUp }: { hangUp: boolean }): Promise<'stop'> {
  const signals: NodeJS.Signals[] = hangUp ? ['SIGINT', 'SIGTERM', 'SIGHUP'] : ['SIGINT', 'SIGTERM']
  return new Promise(resolve => {
    const stop = () => {
      for (const signal of signals) process.removeListener(signal, stop)
      resolve('stop')
    }
    for (const signal of signals) process.on(signal, stop)
  })
}

/**
 * Keeps a hub running until it is asked to stop, and stops it.
 * @throws STORAGE_FAILED when the hub had to stop by itself; nothing that was acknowledged is lost then
 */
export async function runHub(hub: Hub, stop: Promise<unknown>): Promise<void> {
  const broken = await Promise.race([stop.then(() => null), hub.broken.then(error => ({ error }))])
  if (broken === null) {
    hub.log.info('stopping: what is under way is ended, what waits is taken up at the next start')
    await hub.stop()
    hub.log.info('stopped')
    return
  }
  await hub.stop().catch(() => {})
  throw new TelescopeError(
    'STORAGE_FAILED',
    `hub on ${hub.folder.root} cannot trust its disk or catalog any more and stopped (${reasonOf(broken.error)}); look at the disk, then start it again`,
    {},
    broken.error,
  )
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : ''
  return `${error instanceof Error ? error.message : String(error)}${cause}`.replaceAll(/\s+/g, ' ')
}
