import { createCipheriv, hkdfSync } from 'node:crypto'

const BLOCK_BYTES = 65_536

/**
 * Random numbers that only the key decides: AES-256-CTR over zeros, under a key of its own for each purpose
 * (HKDF-SHA-256, RFC 5869), so that no two uses share a keystream.
 */
export class Keystream {
  #cipher
  #zeros = new Uint8Array(BLOCK_BYTES)
  #block: Buffer = Buffer.alloc(0)
  #position = 0

  constructor(key: Uint8Array, purpose: string) {
    const subkey = new Uint8Array(hkdfSync('sha256', key, new Uint8Array(0), purpose, 32))
    this.#cipher = createCipheriv('aes-256-ctr', subkey, new Uint8Array(16))
  }

  nextUint32(): number {
    if (this.#position === this.#block.length) {
      this.#block = this.#cipher.update(this.#zeros)
      this.#position = 0
    }
    const value = this.#block.readUInt32LE(this.#position)
    this.#position += 4
    return value
  }

  /** Uniform in [0, bound), exactly: values of the last, incomplete range are rejected. `bound` is 1 to 2³². */
  nextBelow(bound: number): number {
    const limit = 2 ** 32 - (2 ** 32 % bound)
    let value: number
    do value = this.nextUint32()
    while (value >= limit)
    return value % bound
  }
}
