import type { Status } from '../../schemas/api.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { fetchAnswer, fetchStatus } from './api.ts'
import { UPLOAD_STRINGS } from './upload-strings.ts'

/** Of this tab only, and gone with it: a reload may go on by itself, another visitor of the machine may not. */
const STORAGE_KEY = 'hirundo.upload-token'

/**
 * Who sends and follows uploads: the token that was pasted, else the session of this browser. Every failure ends as
 * `problem`; nothing throws.
 */
export class Sender {
  /** Null: the session speaks. */
  token: string | null = null
  /** Null while nobody may send. */
  role: 'sensor' | 'coordinator' | null = null
  /** Sensors that it may send for. */
  sensors: readonly string[] = []
  problem: TelescopeError | null = null
  isChecking = false
  readonly #onChange: () => void
  #status: Status | null = null
  #attempt = 0

  constructor(onChange: () => void) {
    this.#onChange = onChange
    this.token = storedToken()
  }

  /** Tells what the hub says of the session, whenever it was asked again. */
  useSession(status: Status): void {
    if (status === this.#status) return
    const before = this.#status
    this.#status = status
    const isOther = this.token === null && before?.role !== status.role
    if (before === null || isOther || this.problem?.code === 'HUB_UNREACHABLE') void this.#check()
  }

  useToken(token: string): void {
    this.token = token
    void this.#check()
  }

  /** @param problem why the token is of no use any more */
  forgetToken(problem: TelescopeError | null = null): void {
    storeToken(null)
    this.token = null
    void this.#check(problem)
  }

  async #check(problem: TelescopeError | null = null): Promise<void> {
    const attempt = ++this.#attempt
    const { token } = this
    this.problem = problem
    this.role = null
    this.sensors = []
    this.isChecking = true
    this.#onChange()
    const signal = new AbortController().signal
    try {
      const role = token === null ? this.#status?.role : (await fetchStatus(signal, token)).role
      if (role === 'sensor' || role === 'coordinator') {
        const { rows } = await fetchAnswer('sensors', {}, signal, token)
        if (attempt !== this.#attempt) return
        this.role = role
        this.sensors = rows.map(row => row.sensor)
        if (token !== null) storeToken(token)
      } else if (token !== null) throw new TelescopeError('FORBIDDEN', UPLOAD_STRINGS.tokenIsAnalyst)
    } catch (error) {
      if (attempt !== this.#attempt) return
      this.problem = error instanceof TelescopeError ? error : new TelescopeError('INTERNAL', String(error), {}, error)
      const isRefused = this.problem.code === 'UNAUTHENTICATED' || this.problem.code === 'FORBIDDEN'
      // A token of which the hub could not be asked may still be good.
      if (isRefused && token !== null) return this.forgetToken(this.problem)
    }
    this.isChecking = false
    this.#onChange()
  }
}

function storedToken(): string | null {
  try {
    return sessionStorage.getItem(STORAGE_KEY)
  } catch {
    return null
  }
}

function storeToken(token: string | null): void {
  try {
    if (token === null) sessionStorage.removeItem(STORAGE_KEY)
    else sessionStorage.setItem(STORAGE_KEY, token)
  } catch {
    // It is good until the page is left.
  }
}
