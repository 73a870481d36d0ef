/** Names of columns and the like are far shorter. */
const TEXT_BYTES_MAX = 1024

/**
 * Reads a flatbuffer that nobody has verified: every access is checked against the end of the buffer (DataView does it)
 * and no length in it is believed before it is compared with what is expected. Only what Arrow's messages need.
 * @see https://flatbuffers.dev/internals/
 */
export class FlatTable {
  readonly #view: DataView
  readonly #position: number
  readonly #fields: number
  readonly #fieldsEnd: number

  /** @throws RangeError, here and in all methods, where the buffer contradicts itself */
  private constructor(view: DataView, position: number) {
    this.#view = view
    this.#position = position
    this.#fields = position - view.getInt32(position, true)
    this.#fieldsEnd = this.#fields + view.getUint16(this.#fields, true)
  }

  static root(bytes: Uint8Array): FlatTable {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    return new FlatTable(view, view.getUint32(0, true))
  }

  /** @param id place of the field in its table, from 0 */
  uint8(id: number): number {
    const at = this.#at(id)
    return at < 0 ? 0 : this.#view.getUint8(at)
  }

  int16(id: number): number {
    const at = this.#at(id)
    return at < 0 ? 0 : this.#view.getInt16(at, true)
  }

  int32(id: number): number {
    const at = this.#at(id)
    return at < 0 ? 0 : this.#view.getInt32(at, true)
  }

  int64(id: number): number {
    const at = this.#at(id)
    return at < 0 ? 0 : exactInt64(this.#view, at)
  }

  has(id: number): boolean {
    return this.#at(id) >= 0
  }

  table(id: number): FlatTable | null {
    const at = this.#target(id)
    return at < 0 ? null : new FlatTable(this.#view, at)
  }

  /**
   * UTF-8 text; null when it is not there.
   * @param bytesMax longer text contradicts what is expected
   */
  text(id: number, bytesMax = TEXT_BYTES_MAX): string | null {
    const at = this.#target(id)
    if (at < 0) return null
    const length = this.#view.getUint32(at, true)
    if (length > bytesMax) throw new RangeError('text is longer than it can be')
    if (length > this.#view.byteLength - at - 4) throw new RangeError('text reaches beyond the message')
    return new TextDecoder().decode(new Uint8Array(this.#view.buffer, this.#view.byteOffset + at + 4, length))
  }

  /** Entries of a vector; 0 when it is not there. */
  count(id: number): number {
    const at = this.#target(id)
    return at < 0 ? 0 : this.#view.getUint32(at, true)
  }

  /** An entry of a vector of tables; the caller has compared `count`. */
  tableAt(id: number, index: number): FlatTable {
    const at = this.#target(id) + 4 + index * 4
    return new FlatTable(this.#view, at + this.#view.getUint32(at, true))
  }

  /** A number of an entry of a vector of structs that are two 64-bit numbers each. */
  pairAt(id: number, index: number): [first: number, second: number] {
    const at = this.#target(id) + 4 + index * 16
    return [exactInt64(this.#view, at), exactInt64(this.#view, at + 8)]
  }

  #at(id: number): number {
    const slot = this.#fields + 4 + id * 2
    if (slot + 2 > this.#fieldsEnd) return -1
    const offset = this.#view.getUint16(slot, true)
    return offset === 0 ? -1 : this.#position + offset
  }

  #target(id: number): number {
    const at = this.#at(id)
    return at < 0 ? -1 : at + this.#view.getUint32(at, true)
  }
}

function exactInt64(view: DataView, at: number): number {
  const value = Number(view.getBigInt64(at, true))
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError('a length is no exact number from 0 on')
  return value
}
