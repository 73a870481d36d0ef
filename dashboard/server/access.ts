import type { Scope } from '../../analytics/storage.ts'
import type { Status } from '../../schemas/api.ts'
import { LOCAL_ACTOR } from '../../schemas/audit.ts'
import { TelescopeError } from '../../schemas/errors.ts'

/**
 * Who may do what. Each route declares one action in `config.access`; a route without one stops the server from
 * starting. Sign-in of people, organisations and TLP will add roles and conditions here and nowhere else.
 */

type Role = Status['role']

const ALLOWED = {
  /** Nothing in it depends on data: health, the page's own files, signing in. */
  anything: ['anonymous', 'sensor', 'analyst', 'coordinator'],
  read: ['sensor', 'analyst', 'coordinator'],
  upload: ['sensor', 'coordinator'],
  'follow uploads': ['sensor', 'coordinator'],
  /** Announcing the successor of the key that signs. */
  'renew key': ['sensor'],
  administer: ['coordinator'],
} as const satisfies Record<string, readonly Role[]>

export type Action = keyof typeof ALLOWED
export const ACTIONS = Object.keys(ALLOWED) as Action[]

/** Who is calling, as far as the credential that came with the request says. */
export interface Subject {
  readonly role: Role
  /** The one sensor that a sensor's token speaks for. */
  readonly sensor: string | null
  /** A session is a browser's: its unsafe requests must come from our own page. */
  readonly credential: 'none' | 'token' | 'session' | 'socket' | 'key'
  /** Public name of the token, or of the one that the session began with. */
  readonly tokenId?: string
  /** Name of the sensor's key that signed the request. */
  readonly keyId?: string
}

export const ANONYMOUS: Subject = { role: 'anonymous', sensor: null, credential: 'none' }

function isAllowed(role: Role, action: Action): boolean {
  return (ALLOWED[action] as readonly Role[]).includes(role)
}

/** @throws UNAUTHENTICATED, FORBIDDEN */
export function authorize(subject: Subject, action: Action): void {
  if (isAllowed(subject.role, action)) return
  if (subject.role === 'anonymous') {
    throw new TelescopeError(
      'UNAUTHENTICATED',
      'credential is missing; send "Authorization: Bearer TOKEN" or sign in with the link that the hub printed',
    )
  }
  throw new TelescopeError(
    'FORBIDDEN',
    `role ${subject.role} may not ${action}; ask the coordinator for a token that may`,
    {
      role: subject.role,
      action,
    },
  )
}

/** Who the subject is in the audit log. */
export function actorOf({ credential, tokenId, sensor }: Subject): string {
  if (credential === 'key') return `sensor ${sensor}`
  if (tokenId !== undefined) return `token ${tokenId}`
  return credential === 'socket' ? LOCAL_ACTOR : 'sign-in link'
}

/** Whose data the subject may see; goes into every query. */
export function scopeOf(subject: Subject): Scope {
  if (subject.role === 'analyst' || subject.role === 'coordinator') return { sensors: 'all' }
  return { sensors: subject.sensor === null ? [] : [subject.sensor] }
}

/**
 * The sensor that an upload or receipt belongs to: a sensor's token says which, a coordinator names it.
 * @throws FORBIDDEN, QUERY_INVALID
 */
export function sensorOf(subject: Subject, asked: string | undefined): string {
  if (subject.sensor !== null) {
    if (asked === undefined || asked === subject.sensor) return subject.sensor
    throw new TelescopeError(
      'FORBIDDEN',
      `token speaks for sensor "${subject.sensor}", not for "${asked}"; use that sensor's, or leave the parameter out`,
      {
        sensor: subject.sensor,
        asked,
      },
    )
  }
  if (asked === undefined) {
    throw new TelescopeError(
      'QUERY_INVALID',
      'parameter "sensor" is missing: this credential is not bound to one sensor',
    )
  }
  return asked
}
