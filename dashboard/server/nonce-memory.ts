import { SIGNATURE_AGE_SECONDS_MAX } from '../../schemas/http-signature.ts'

/** A signature may be dated so far ahead, and is then good so long after. */
const WINDOW_SECONDS = 2 * SIGNATURE_AGE_SECONDS_MAX
/** 54 requests a second over ten minutes; about 3 MB for a key that sends as many. */
const NONCES_MAX = 32_768

interface KeyMemory {
  recent: Set<string>
  earlier: Set<string>
  /** When `recent` was begun, seconds. */
  begun: number
  newestCreated: number
}

/**
 * The nonces of accepted signatures, for as long as a signature is good. Only who holds a key can fill its memory. It
 * does not outlive the process; a request from before a restart does no harm when it comes again, because all that a
 * sensor asks for changes nothing the second time.
 */
export class NonceMemory {
  readonly #keys = new Map<string, KeyMemory>()

  /**
   * Takes a nonce in.
   * @param now seconds of a clock that never goes back
   * @returns whether it was new; `full` when its key has sent too many to tell
   */
  take(keyId: string, nonce: string, created: number, now: number): 'new' | 'known' | 'full' {
    const memory = this.#memoryOf(keyId, now)
    if (memory.recent.has(nonce) || memory.earlier.has(nonce)) return 'known'
    if (memory.recent.size + memory.earlier.size >= NONCES_MAX) return 'full'
    memory.recent.add(nonce)
    memory.newestCreated = Math.max(memory.newestCreated, created)
    return 'new'
  }

  /** The newest time that the key has signed, Unix seconds; null when it has signed nothing yet. */
  newestCreated(keyId: string): number | null {
    return this.#keys.get(keyId)?.newestCreated ?? null
  }

  #memoryOf(keyId: string, now: number): KeyMemory {
    let memory = this.#keys.get(keyId)
    if (memory === undefined) {
      memory = { recent: new Set(), earlier: new Set(), begun: now, newestCreated: 0 }
      this.#keys.set(keyId, memory)
    }
    const age = now - memory.begun
    if (age > WINDOW_SECONDS) {
      memory.earlier = age > 2 * WINDOW_SECONDS ? new Set() : memory.recent
      memory.recent = new Set()
      memory.begun = now
    }
    return memory
  }
}
