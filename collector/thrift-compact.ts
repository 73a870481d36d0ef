/**
 * Structures as Apache Thrift's compact protocol writes them: what the metadata of a Parquet file is made of. Only what
 * those structures hold: 32- and 64-bit integers, texts, structures, and lists of them.
 */

const TYPE_I32 = 5
const TYPE_I64 = 6
const TYPE_BINARY = 8
const TYPE_LIST = 9
const TYPE_STRUCT = 12
/** A header of a list has four bits for its length; this says that a longer one follows. */
const LENGTH_FOLLOWS = 15

export type ThriftValue =
  | { readonly i32: number }
  | { readonly i64: number }
  | { readonly text: string }
  | { readonly struct: ThriftStruct }
  | { readonly list: readonly ThriftValue[] }

/** Values by field number, rising. */
export type ThriftStruct = readonly (readonly [id: number, value: ThriftValue])[]

/** The bytes of a structure. Integers are exact numbers. */
export function encodeThrift(struct: ThriftStruct): Uint8Array {
  const bytes: number[] = []
  writeStruct(bytes, struct)
  return Uint8Array.from(bytes)
}

function writeStruct(bytes: number[], struct: ThriftStruct): void {
  let previous = 0
  for (const [id, value] of struct) {
    bytes.push(((id - previous) << 4) | typeOf(value))
    previous = id
    writeValue(bytes, value)
  }
  bytes.push(0)
}

function writeValue(bytes: number[], value: ThriftValue): void {
  if ('i32' in value) writeVarint(bytes, zigzag(value.i32))
  else if ('i64' in value) writeVarint(bytes, zigzag(value.i64))
  else if ('text' in value) {
    const text = new TextEncoder().encode(value.text)
    writeVarint(bytes, text.length)
    bytes.push(...text)
  } else if ('struct' in value) writeStruct(bytes, value.struct)
  else {
    const { list } = value
    const type = list.length === 0 ? TYPE_STRUCT : typeOf(list[0]!)
    if (list.length < LENGTH_FOLLOWS) bytes.push((list.length << 4) | type)
    else {
      bytes.push((LENGTH_FOLLOWS << 4) | type)
      writeVarint(bytes, list.length)
    }
    for (const item of list) writeValue(bytes, item)
  }
}

function typeOf(value: ThriftValue): number {
  if ('i32' in value) return TYPE_I32
  if ('i64' in value) return TYPE_I64
  if ('text' in value) return TYPE_BINARY
  return 'struct' in value ? TYPE_STRUCT : TYPE_LIST
}

function zigzag(value: number): number {
  return value >= 0 ? value * 2 : -value * 2 - 1
}

/** Seven bits a byte, the lowest first; the numbers here may be wider than 32 bits. */
export function writeVarint(bytes: number[], value: number): void {
  for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push((value % 0x80) | 0x80)
  bytes.push(value)
}
