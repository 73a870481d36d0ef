import { type ByteSource, openByteSource } from './byte-source.ts'
import { type CaptureFormat, captureFormat, describeUnknownFormat, MAGIC_BYTES } from './capture-format.ts'
import type { CaptureParser } from './capture-parser.ts'
import type { CaptureError, CaptureResult, ReadOptions } from './capture-result.ts'
import { GunzipSource } from './gunzip-source.ts'
import { formatLinkType, isLinkTypeSupported } from './link-type.ts'
import type { OnPacket, Packet } from './packet.ts'
import { PcapParser } from './pcap-parser.ts'
import { PcapngParser } from './pcapng-parser.ts'

/** Read at once, into one buffer that is reused: large enough to make calls rare, small enough for the cache. */
export const CHUNK_BYTES = 1024 * 1024
/** Decompressed content of one capture; above any capture that a sensor of a region writes in a day. */
const CONTENT_BYTES_MAX = 256 * 1024 ** 3

/**
 * Reads a file, or standard input for `-`, and hands each packet to `onPacket`, filled into `packet`, in the order of
 * the capture. gzip is recognised by content.
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
  return { path, ...(await readCaptureSource(openByteSource(path), packet, onPacket, options)) }
}

/** The same for bytes from elsewhere; closes the source. */
export async function readCaptureSource(
  source: ByteSource,
  packet: Packet,
  onPacket: OnPacket,
  options: ReadOptions = {},
): Promise<Omit<CaptureResult, 'path'>> {
  const reading = new CaptureReading(source, packet, onPacket, options)
  try {
    await reading.run()
  } finally {
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
    // Whoever hashes the content wants all of it, also what cannot be parsed.
    if (this.options.onBytes) while (parser.error !== null && (await this.drain())) {}
    const ending = parser.finish(parser.error === null ? this.end - this.start : 0)
    this.isTruncated = ending?.code === 'CAPTURE_TRUNCATED' || this.source.error !== null
    this.error = this.source.error ?? ending ?? parser.warning ?? linkTypeError(parser)
  }

  /** True when nothing that comes can be read any more. */
  get isBroken(): boolean {
    return this.parser === null ? this.error !== null : this.parser.error !== null || this.source.error !== null
  }

  /** True when what was read ends with a whole record or block. */
  get isAtRecordEnd(): boolean {
    return this.start === this.end
  }

  result(): Omit<CaptureResult, 'path'> {
    const { parser } = this
    return {
      format: parser === null ? null : parser.format + this.compression,
      linkTypes: parser?.linkTypes ?? [],
      packetsRead: parser?.packetsRead ?? 0,
      bytesRead: this.source.bytesRead,
      contentBytes: this.contentBytes,
      interfaceDrops: parser?.interfaceDrops ?? null,
      truncated: this.isTruncated,
      error: this.error,
    }
  }

  private async openParser(): Promise<CaptureParser | null> {
    const format = await this.openContent()
    if (format === null) return null
    const shortcut = this.options.shortcut ?? null
    return format === 'pcap'
      ? new PcapParser(this.packet, this.onPacket, shortcut)
      : new PcapngParser(this.packet, this.onPacket, shortcut)
  }

  /** Finds out the format and decompresses. */
  private async openContent(): Promise<Exclude<CaptureFormat, 'gzip'> | null> {
    let format = await this.readMagic()
    if (format === 'gzip') {
      const head = this.buffer.slice(0, this.end)
      this.source = new GunzipSource(this.source, head, this.options.contentBytesMax ?? CONTENT_BYTES_MAX)
      this.compression = ' (gzip)'
      this.end = 0
      format = await this.readMagic()
    }
    this.counted(0)
    if (format !== null && format !== 'gzip') return format
    this.isTruncated = this.source.error !== null && this.contentBytes > 0
    this.error = this.source.error ?? this.formatError()
    return null
  }

  private async readMagic(): Promise<CaptureFormat | null> {
    while (this.end < MAGIC_BYTES) {
      const count = await this.source.read(this.buffer, this.end, this.buffer.length - this.end)
      if (count === 0) break
      this.end += count
    }
    return captureFormat(this.buffer, this.end)
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
