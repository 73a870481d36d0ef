import { number } from './capture-builder.ts'
import { concat, hex } from './frame-builder.ts'

/** zstd frames for tests, byte by byte (RFC 8878 section 3.1.1). */

const MAGIC = hex('28b52ffd')
/** No single segment, no checksum, no dictionary, no content size: a window descriptor alone follows. */
const PLAIN_DESCRIPTOR = 0

/** A frame of raw and RLE blocks; the window is 2^(10 + exponent) bytes. */
export function zstdFrame(blocks: readonly Uint8Array[], windowExponent = 7): Uint8Array {
  return concat(MAGIC, Uint8Array.of(PLAIN_DESCRIPTOR, windowExponent << 3), ...blocks)
}

/** A block that holds its bytes as they are. */
export function rawBlock(bytes: Uint8Array, isLast: boolean): Uint8Array {
  return concat(blockHeader(bytes.length, 0, isLast), bytes)
}

/** A block of four bytes that stands for many. */
export function rleBlock(byte: number, byteCount: number, isLast: boolean): Uint8Array {
  return concat(blockHeader(byteCount, 1, isLast), Uint8Array.of(byte))
}

export function blockHeader(byteCount: number, type: number, isLast: boolean): Uint8Array {
  return number((byteCount << 3) | (type << 1) | (isLast ? 1 : 0), 3, 'little')
}

export function skippableFrame(bytes: Uint8Array): Uint8Array {
  return concat(hex('532a4d18'), number(bytes.length, 4, 'little'), bytes)
}
