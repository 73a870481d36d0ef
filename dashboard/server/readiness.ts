import { TelescopeError } from '../../schemas/errors.ts'
import type { ServerParts } from './server-parts.ts'

/**
 * Whether the hub can keep both promises now: it reads its catalog, and an upload would find room.
 * @throws NOT_READY with a reason for each of what does not work, in `details` by its name
 */
export async function checkReady({ storage, receiver }: ServerParts): Promise<void> {
  const checks: Readonly<Record<string, () => Promise<unknown>>> = {
    catalog: () => storage.waiting(),
    disk: () => receiver.announce('batch', null),
  }
  const reasons: Record<string, string> = {}
  for (const [name, check] of Object.entries(checks)) {
    await check().catch((error: unknown) => {
      // The words of anything else than our own errors may name places on the machine.
      reasons[name] = error instanceof TelescopeError && error.kind !== 'bug' ? error.message : 'does not work'
    })
  }
  const names = Object.keys(reasons)
  if (names.length === 0) return
  throw new TelescopeError(
    'NOT_READY',
    `hub is not ready: ${names.map(name => `${name}: ${reasons[name]}`).join('; ')}`,
    reasons,
  )
}
