/** What a file says it is by its first bytes, before hours are spent on sending it. The hub judges for itself. */

interface CaptureKind {
  /** As the hub knows it; for snoop, which has no registered type, application/octet-stream. */
  readonly contentType: string
}

/** Enough for every mark. */
const MARK_BYTES = 8

const MARKS: readonly { readonly mark: readonly number[]; readonly contentType: string }[] = [
  ...[
    [0xa1, 0xb2, 0xc3, 0xd4],
    [0xa1, 0xb2, 0x3c, 0x4d],
    [0xa1, 0xb2, 0xcd, 0x34],
  ].flatMap(mark =>
    [mark, mark.toReversed()].map(bytes => ({ mark: bytes, contentType: 'application/vnd.tcpdump.pcap' })),
  ),
  { mark: [0x0a, 0x0d, 0x0d, 0x0a], contentType: 'application/x-pcapng' },
  { mark: [0x1f, 0x8b], contentType: 'application/gzip' },
  { mark: [0x28, 0xb5, 0x2f, 0xfd], contentType: 'application/zstd' },
  { mark: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], contentType: 'application/x-xz' },
  // "snoop", RFC 1761
  { mark: [0x73, 0x6e, 0x6f, 0x6f, 0x70], contentType: 'application/octet-stream' },
]

/** @returns null when it is nothing that the hub reads */
export async function captureKind(file: Blob): Promise<CaptureKind | null> {
  const bytes = new Uint8Array(await file.slice(0, MARK_BYTES).arrayBuffer())
  // zstd also begins with a frame that is to be skipped: 0x184D2A50 to 5F, little-endian (RFC 8878, section 3.1.2).
  const isSkippable = bytes[1] === 0x2a && bytes[2] === 0x4d && bytes[3] === 0x18 && (bytes[0]! & 0xf0) === 0x50
  if (isSkippable) return { contentType: 'application/zstd' }
  const found = MARKS.find(({ mark }) => mark.every((byte, at) => bytes[at] === byte))
  return found === undefined ? null : { contentType: found.contentType }
}
