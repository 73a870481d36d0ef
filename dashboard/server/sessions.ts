import type { Storage } from '../../analytics/storage.ts'
import { ANONYMOUS, type Subject } from './access.ts'
import { hashSecret, makeSecret } from './credentials.ts'

/** OWASP ASVS 5.0, section 7.3: a session ends after a working day, and after half an hour without a request. */
const SESSION_SECONDS_MAX = 8 * 3600
const SESSION_IDLE_SECONDS_MAX = 1800
/** Bounds memory; the oldest session leaves first. Far above the people of one region. */
const SESSIONS_MAX = 10_000

interface Session {
  readonly tokenSha256: string
  readonly startedAt: number
  usedAt: number
}

/**
 * Sessions of browsers, by reference: the cookie holds a random name, all else stays here and ends with the hub. A
 * session is worth no more than its token: a revoked token ends it at the next request.
 */
export class Sessions {
  readonly #storage: Storage
  readonly #now: () => number
  readonly #sessions = new Map<string, Session>()
  readonly #signInSha256: string
  /** Goes into the link that the hub prints for whoever started it; good until the hub stops. */
  readonly signInToken: string

  /** @param now Unix seconds */
  constructor(storage: Storage, now: () => number = () => Date.now() / 1000) {
    this.#storage = storage
    this.#now = now
    this.signInToken = makeSecret()
    this.#signInSha256 = hashSecret(this.signInToken)
  }

  /** @returns the name for the cookie and who it is, or null when the token is unknown or revoked */
  async signIn(token: string): Promise<{ cookie: string; subject: Subject } | null> {
    const tokenSha256 = hashSecret(token)
    const subject = await this.#subjectOf(tokenSha256)
    if (subject === null) return null
    const cookie = makeSecret()
    const now = this.#now()
    for (const name of this.#sessions.keys()) {
      if (this.#sessions.size < SESSIONS_MAX) break
      this.#sessions.delete(name)
    }
    this.#sessions.set(hashSecret(cookie), { tokenSha256, startedAt: now, usedAt: now })
    return { cookie, subject }
  }

  signOut(cookie: string): void {
    this.#sessions.delete(hashSecret(cookie))
  }

  /** Who a cookie speaks for; an ended session is nobody, so that an old cookie never locks a page out. */
  async find(cookie: string): Promise<Subject> {
    const name = hashSecret(cookie)
    const session = this.#sessions.get(name)
    if (session === undefined) return ANONYMOUS
    const now = this.#now()
    const ended = now - session.startedAt > SESSION_SECONDS_MAX || now - session.usedAt > SESSION_IDLE_SECONDS_MAX
    const subject = ended ? null : await this.#subjectOf(session.tokenSha256)
    if (subject === null) {
      this.#sessions.delete(name)
      return ANONYMOUS
    }
    session.usedAt = now
    return subject
  }

  async #subjectOf(tokenSha256: string): Promise<Subject | null> {
    if (tokenSha256 === this.#signInSha256) return { role: 'coordinator', sensor: null, credential: 'session' }
    const token = await this.#storage.findToken(tokenSha256)
    if (token === null) return null
    return { role: token.role, sensor: token.sensor, credential: 'session', tokenId: token.token_id }
  }
}
