import type { ByteSource } from './byte-source.ts'
import {
  type CaptureFormat,
  captureFormat,
  DESCRIBED_BYTES,
  describeUnknownFormat,
  MAGIC_BYTES,
} from './capture-format.ts'
import type { CaptureParser } from './capture-parser.ts'
import type { CaptureError, CaptureResult, ReadOptions } from './capture-result.ts'
import { compressionOf } from './compression.ts'
import { DecompressingSource } from './decompressing-source.ts'
import { formatLinkType, isLinkTypeSupported } from './link-type.ts'
import { openByteSource } from './open-byte-source.ts'
import type { OnPacket, Packet } from './packet.ts'
import { FILE_HEADER_BYTES, PcapParser } from './pcap-parser.ts'
import { PcapngParser } from './pcapng-parser.ts'
import { RangeSource } from './range-source.ts'
import { SnoopParser } from './snoop-parser.ts'

/** Read at once, into one buffer that is reused: large enough to make calls rare, small enough for the cache. */
export const CHUNK_BYTES = 1024 * 1024
/** Decompressed content of one capture; above any capture that a sensor of a region writes in a day. */
const CONTENT_BYTES_MAX = 256 * 1024 ** 3

/**
 * Reads a file, or standard input for `-`, and hands each packet to `onPacket`, filled into `packet`, in the order of
 * the capture. Format and compression are told by content, never by name.
 *
 * Memory is one buffer of CHUNK_BYTES, grown up to the largest record or block that really is in the capture.
 *
 * @returns also for input that is damaged, cut short, or no capture at all: see `error`. It throws only what
 *   `onPacket` and the options' functions throw.
 */
export async function readCapture(
  path: string,
  packet: Packet,
  onPacket: OnPacket,
  options: ReadOptions = {},
): Promise<CaptureResult> {
  const { range } = options
  const source = range ? new RangeSource(range.descriptor, FILE_HEADER_BYTES, range) : openByteSource(path)
  return { path, ...(await readCaptureSource(source, packet, onPacket, options)) }
}

/** The same for bytes from elsewhere; closes the source. */
export async function readCaptureSource(
  source: ByteSource,
  packet: Packet,
  onPacket: OnPacket,
  options: ReadOptions = {},
): Promise<Omit<CaptureResult, 'path'>> {
  const reading = new CaptureReading(source, packet, onPacket, options)
  // A quiet pipe would keep the read waiting.
  const onAbort = (): void => void reading.source.close()
  options.signal?.addEventListener('abort', onAbort)
  try {
    await reading.run()
  } finally {
    options.signal?.removeEventListener('abort', onAbort)
    await reading.source.close()
  }
  return reading.result()
}

/** One capture at work: `run` reads it whole; or `advance` again and again as it grows, and then `finish`. */
export class CaptureReading {
  /** To be closed by whoever made the reading; takes the place of the one that was given when that is compressed. */
  source: ByteSource
  private readonly packet: Packet
  private readonly onPacket: OnPacket
  private readonly options: ReadOptions
  private buffer: Uint8Array
  /** Bytes in the buffer that were not consumed. */
  private start = 0
  private end = 0
  private contentBytes = 0
  private compression = ''
  private parser: CaptureParser | null = null
  private error: CaptureError | null = null
  private isTruncated = false

  constructor(source: ByteSource, packet: Packet, onPacket: OnPacket, options: ReadOptions) {
    this.source = source
    this.packet = packet
    this.onPacket = onPacket
    this.options = options
    this.buffer = new Uint8Array(options.chunkBytes ?? CHUNK_BYTES)
  }

  async run(): Promise<void> {
    if (await this.advance()) await this.finish()
  }

  /**
   * Hands over all packets up to the present end of the source.
   * @returns false when `options.signal` ended it before
   */
  async advance(): Promise<boolean> {
    this.parser ??= await this.openParser()
    const { parser } = this
    if (parser === null) return true
    const { signal, onChunk } = this.options
    do {
      this.start = parser.feed(this.buffer, this.start, this.end)
      if (onChunk) await onChunk(this.source.bytesRead)
      if (signal?.aborted) return false
    } while (parser.error === null && (await this.fill()))
    return true
  }

  /** Judges the capture when nothing more will come. */
  async finish(): Promise<void> {
    const { parser } = this
    if (parser === null) return
    const isParsed = parser.error === null
    // Whoever hashes the content wants all of it, also what cannot be parsed.
    if (this.options.onBytes) while (!isParsed && (await this.drain())) {}
    const ending = parser.finish(isParsed ? this.end - this.start : 0)
    // Damage behind the place where the parsing ended changes nothing of what was read; a bomb is one wherever it is.
    const { error } = this.source
    const sourceError = isParsed || error?.code === 'COMPRESSION_BOMB' ? error : null
    this.isTruncated = ending?.code === 'CAPTURE_TRUNCATED' || sourceError !== null
    this.error = sourceError ?? ending ?? parser.warning ?? linkTypeError(parser)
  }

  /** True when nothing that comes can be read any more. */
  get isBroken(): boolean {
    return this.parser === null ? this.error !== null : this.parser.error !== null || this.source.error !== null
  }

  /** True when what was read ends with a whole record or block. */
  get isAtRecordEnd(): boolean {
    return this.start === this.end
  }

  private async openParser(): Promise<CaptureParser | null> {
    const format = await this.openContent()
    if (format === null) return null
    const parser = this.createParser(format)
    const { range } = this.options
    if (range && parser instanceof PcapParser) {
      // Only the file header has come so far.
      this.start = parser.feed(this.buffer, this.start, this.end)
      parser.skipTo(range.start, range.packetsBefore)
    }
    return parser
  }

  private createParser(format: CaptureFormat): CaptureParser {
    if (format === 'pcap') return new PcapParser(this.packet, this.onPacket, this.options.shortcut ?? null)
    if (format === 'pcapng') return new PcapngParser(this.packet, this.onPacket, this.options.shortcut ?? null)
    return new SnoopParser(this.packet, this.onPacket)
  }

  result(): Omit<CaptureResult, 'path'> {
    const { parser } = this
    return {
      format: parser === null ? null : parser.format + this.compression,
      linkTypes: parser?.linkTypes ?? [],
      packetsRead: (parser?.packetsRead ?? 0) - (this.options.range?.packetsBefore ?? 0),
      bytesRead: this.source.bytesRead,
      contentBytes: this.contentBytes,
      interfaceDrops: parser?.interfaceDrops ?? null,
      truncated: this.isTruncated,
      error: this.error,
    }
  }

  /** Finds out the format and decompresses. */
  private async openContent(): Promise<CaptureFormat | null> {
    await this.readAtLeast(MAGIC_BYTES)
    const compression = compressionOf(this.buffer, this.end)
    if (compression !== null) {
      const head = this.buffer.slice(0, this.end)
      const contentBytesMax = this.options.contentBytesMax ?? CONTENT_BYTES_MAX
      this.source = new DecompressingSource(compression, this.source, head, contentBytesMax)
      this.compression = ` (${compression.name})`
      this.end = 0
      await this.readAtLeast(MAGIC_BYTES)
    }
    const format = captureFormat(this.buffer, this.end)
    // What is no capture is described by the same bytes, however they arrive.
    if (format === null) await this.readAtLeast(DESCRIBED_BYTES)
    this.counted(0)
    if (format !== null) return format
    const { error } = this.source
    this.isTruncated = error !== null && (error.code === 'COMPRESSION_INVALID' || this.contentBytes > 0)
    this.error = error ?? this.formatError()
    return null
  }

  private async readAtLeast(bytes: number): Promise<void> {
    while (this.end < bytes) {
      const count = await this.source.read(this.buffer, this.end, this.buffer.length - this.end)
      if (count === 0) break
      this.end += count
    }
  }

  private formatError(): CaptureError {
    if (this.end === 0) return { code: 'CAPTURE_EMPTY', message: 'capture: it has no bytes at all', offset: 0 }
    return { code: 'CAPTURE_FORMAT_UNKNOWN', message: describeUnknownFormat(this.buffer, this.end), offset: 0 }
  }

  /** Moves what was not consumed to the front and reads on; the buffer grows only when one record fills it. */
  private async fill(): Promise<boolean> {
    if (this.start > 0) {
      this.buffer.copyWithin(0, this.start, this.end)
      this.end -= this.start
      this.start = 0
    }
    if (this.end === this.buffer.length) {
      const larger = new Uint8Array(this.buffer.length * 2)
      larger.set(this.buffer)
      this.buffer = larger
    }
    const before = this.end
    this.end += await this.source.read(this.buffer, before, this.buffer.length - before)
    return this.counted(before)
  }

  private async drain(): Promise<boolean> {
    this.end = await this.source.read(this.buffer, 0, this.buffer.length)
    return this.counted(0)
  }

  /** @returns false when nothing came */
  private counted(from: number): boolean {
    if (this.end === from) return false
    this.contentBytes += this.end - from
    this.options.onBytes?.(this.buffer.subarray(from, this.end))
    return true
  }
}

function linkTypeError(parser: CaptureParser): CaptureError | null {
  if (parser.packetsRead === 0 || parser.packetsOfUnsupportedLink < parser.packetsRead) return null
  const types = parser.linkTypes.filter(linkType => !isLinkTypeSupported(linkType)).map(formatLinkType)
  const message = `link type ${types.join(', ')} is not supported, so none of the ${parser.packetsRead} packets could be read; record on an Ethernet, Wi-Fi, raw IP, loopback, PPP or "any" interface`
  return { code: 'LINK_TYPE_UNSUPPORTED', message, offset: null }
}
