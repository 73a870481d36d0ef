import { decode } from '../../collector/decode.ts'
import { readCaptureSource } from '../../collector/read-capture.ts'
import { decodeTarget, readTarget, splitTarget, type Target } from './targets.ts'

/**
 * Targets that are broken on purpose, each in a way that the harness must notice: what shows that a run without failing
 * cases says something. They run only when they are named.
 */

/** A byte of frames that some mutations hit and most do not. */
const TRAP_AT = 14
const TRAP = 0x45 ^ 0x08
const LEAKED_BYTES = 4 * 1024 * 1024

/** Kept for ever. */
const leaked: Uint8Array[] = []

const BROKEN: Readonly<Record<string, () => Target>> = {
  'broken-throws': () =>
    decodeTarget((bytes, offset, end, packet) => {
      decode(bytes, offset, end, packet)
      if (end > offset + TRAP_AT && bytes[offset + TRAP_AT] === TRAP) throw new RangeError(`byte ${TRAP}`)
    }),
  'broken-loops': () =>
    decodeTarget((bytes, offset, end, packet) => {
      decode(bytes, offset, end, packet)
      // An option of no length that is never passed.
      while (end > offset + TRAP_AT && bytes[offset + TRAP_AT] === TRAP) packet.tcpMss = 0
    }),
  'broken-overreads': () =>
    decodeTarget((bytes, offset, end, packet) => {
      decode(bytes, offset, end, packet)
      if (end - offset === TRAP_AT) packet.ttl = bytes[end] ?? 0
    }),
  'broken-bounds': () =>
    decodeTarget((bytes, offset, end, packet) => {
      decode(bytes, offset, end, packet)
      if (packet.dstPort === 0) packet.dstPort = 0x1_0000
    }),
  'broken-leaks': () =>
    decodeTarget((bytes, offset, end, packet) => {
      decode(bytes, offset, end, packet)
      if (packet.index === 1) leaked.push(new Uint8Array(LEAKED_BYTES).fill(1))
    }),
  'broken-exits': () =>
    decodeTarget((bytes, offset, end, packet) => {
      decode(bytes, offset, end, packet)
      if (end > offset + TRAP_AT && bytes[offset + TRAP_AT] === TRAP) process.exit(7)
    }),
  'broken-never-ends': () =>
    readTarget((source, packet, onPacket, options) =>
      readCaptureSource(source, packet, onPacket, { ...options, onChunk: () => new Promise(() => {}) }),
    ),
  'broken-miscounts': () =>
    readTarget((source, packet, onPacket, options) =>
      readCaptureSource(source, packet, read => (read.drop === 0 ? undefined : onPacket(read)), options),
    ),
  'broken-code': () =>
    readTarget(async (...read) => {
      const result = await readCaptureSource(...read)
      const isCut = result.error?.code === 'CAPTURE_TRUNCATED'
      return isCut ? { ...result, error: { ...result.error!, code: 'INTERNAL' } } : result
    }),
  'broken-splits': () =>
    splitTarget((source, packet, onPacket, options) => {
      let chunks = 0
      return readCaptureSource(source, packet, read => onPacket(chunks > 1 ? Object.assign(read, { ttl: 0 }) : read), {
        ...options,
        onChunk: () => void chunks++,
      })
    }),
}

export const BROKEN_NAMES = Object.keys(BROKEN)

export function brokenTarget(name: string): Target | undefined {
  return Object.hasOwn(BROKEN, name) ? BROKEN[name]!() : undefined
}
