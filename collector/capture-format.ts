import { compressionOf } from './compression.ts'
import { isPcapMagic } from './pcap-parser.ts'
import { isPcapngMagic } from './pcapng-parser.ts'
import { isSnoopMagic } from './snoop-parser.ts'

/** Bytes that are needed to tell a format or compression. */
export const MAGIC_BYTES = 8

export type CaptureFormat = 'pcap' | 'pcapng' | 'snoop'

/** What the first bytes say the content is; null when it is none that is read. */
export function captureFormat(bytes: Uint8Array, end: number): CaptureFormat | null {
  if (end < 4) return null
  if (isPcapMagic(bytes, 0)) return 'pcap'
  if (isPcapngMagic(bytes, 0)) return 'pcapng'
  return isSnoopMagic(bytes, end) ? 'snoop' : null
}

const OTHER_FORMATS: readonly { magic: readonly number[]; advice: string }[] = [
  { magic: [0x42, 0x5a, 0x68], advice: 'it is bzip2; decompress it with `bzip2 -d`' },
  { magic: [0x04, 0x22, 0x4d, 0x18], advice: 'it is lz4; decompress it with `lz4 -d`' },
  { magic: [0x50, 0x4b, 0x03, 0x04], advice: 'it is a zip archive; unpack it' },
  { magic: [0x41, 0x52, 0x52, 0x4f, 0x57, 0x31], advice: 'it is an Arrow file, not a capture' },
]
/** As many bytes as a message shows. */
const SHOWN_BYTES = 8
/** As many bytes as are looked at to describe what is no capture. */
export const DESCRIBED_BYTES = 64

/** Why bytes that are no capture were not read, and what to do. */
export function describeUnknownFormat(bytes: Uint8Array, end: number): string {
  const shown = [...bytes.subarray(0, Math.min(end, SHOWN_BYTES))].map(byte => byte.toString(16).padStart(2, '0'))
  const known = OTHER_FORMATS.find(({ magic }) => magic.every((byte, at) => at < end && bytes[at] === byte))
  const within = compressionOf(bytes, end)
  const advice =
    known?.advice ??
    (within !== null
      ? `it is ${within.name} within a compression; decompress it once`
      : isText(bytes, end)
        ? 'it looks like text'
        : 'record with `tcpdump -w FILE`')
  return `capture: first bytes ${shown.join(' ')} are neither pcap, pcapng nor snoop: ${advice}`
}

function isText(bytes: Uint8Array, end: number): boolean {
  return bytes
    .subarray(0, Math.min(end, DESCRIBED_BYTES))
    .every(byte => byte === 9 || byte === 10 || byte === 13 || (byte >= 32 && byte !== 127))
}
