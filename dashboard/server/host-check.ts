import { isIP } from 'node:net'
import { TelescopeError } from '../../schemas/errors.ts'

/**
 * Refuses a request for a host name that the hub does not know. A page of elsewhere can make its own name point to
 * this machine (DNS rebinding) and would then read the hub as if it were its own origin; an address literal or
 * `localhost` cannot be made to point elsewhere.
 * @param names further names, as a reverse proxy forwards them
 * @throws HOST_NOT_ALLOWED
 */
export function checkHost(host: string | undefined, names: readonly string[]): void {
  const name = hostName(host ?? '')
  if (name === 'localhost' || isIP(name) !== 0 || names.includes(name)) return
  throw new TelescopeError(
    'HOST_NOT_ALLOWED',
    `host "${name}" is not one that this hub answers for; start it with --name ${name || 'HOST'} if it should`,
    { host: name },
  )
}

/** `Host` without its port, lower case, an IPv6 address without brackets. */
export function hostName(host: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(host)
  return (bracketed ? bracketed[1]! : host.replace(/:\d+$/, '')).toLowerCase()
}
