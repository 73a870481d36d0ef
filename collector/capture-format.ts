import { isGzipMagic } from './gunzip-source.ts'
import { isPcapMagic } from './pcap-parser.ts'
import { isPcapngMagic } from './pcapng-parser.ts'

/** Bytes that are needed to tell a format. */
export const MAGIC_BYTES = 4

export type CaptureFormat = 'pcap' | 'pcapng' | 'gzip'

/** What the first bytes say the content is; null when it is none that is read. */
export function captureFormat(bytes: Uint8Array, end: number): CaptureFormat | null {
  if (end >= 2 && isGzipMagic(bytes, 0)) return 'gzip'
  if (end < MAGIC_BYTES) return null
  return isPcapMagic(bytes, 0) ? 'pcap' : isPcapngMagic(bytes, 0) ? 'pcapng' : null
}

const OTHER_FORMATS: readonly { magic: readonly number[]; advice: string }[] = [
  { magic: [0x28, 0xb5, 0x2f, 0xfd], advice: 'it is zstd; decompress it with `zstd -d`' },
  { magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a], advice: 'it is xz; decompress it with `xz -d`' },
  { magic: [0x42, 0x5a, 0x68], advice: 'it is bzip2; decompress it with `bzip2 -d`' },
  { magic: [0x04, 0x22, 0x4d, 0x18], advice: 'it is lz4; decompress it with `lz4 -d`' },
  { magic: [0x50, 0x4b, 0x03, 0x04], advice: 'it is a zip archive; unpack it' },
  { magic: [0x1f, 0x8b], advice: 'it is gzip within gzip; decompress it once' },
  { magic: [0x73, 0x6e, 0x6f, 0x6f, 0x70], advice: 'it is snoop; convert it with `editcap -F pcap`' },
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
  const advice = known?.advice ?? (isText(bytes, end) ? 'it looks like text' : 'record with `tcpdump -w FILE`')
  return `capture: first bytes ${shown.join(' ')} are neither pcap nor pcapng: ${advice}`
}

function isText(bytes: Uint8Array, end: number): boolean {
  return bytes
    .subarray(0, Math.min(end, DESCRIBED_BYTES))
    .every(byte => byte === 9 || byte === 10 || byte === 13 || (byte >= 32 && byte !== 127))
}
