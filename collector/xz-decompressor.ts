import {
  type ReadableStream,
  type ReadableStreamDefaultReader,
  TransformStream,
  type WritableStreamDefaultWriter,
} from 'node:stream/web'
import type { XzReadableStream } from 'xz-decompress'
import { DecompressionError, type Decompressor, type OnContent } from './decompressor.ts'

type XzInput = ConstructorParameters<typeof XzReadableStream>[0]

/** The .xz file format 1.2.1, section 2.1.1.1. */
const MAGIC = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]

/** Results of xz-embedded (its `enum xz_ret`), which `xz-decompress` wraps. */
const XZ_UNSUPPORTED_CHECK = 2
const XZ_MEM_ERROR = 3
const XZ_MEMLIMIT_ERROR = 4
const XZ_OPTIONS_ERROR = 6
const XZ_BUF_ERROR = 8
const UNSUPPORTED = [XZ_UNSUPPORTED_CHECK, XZ_MEM_ERROR, XZ_MEMLIMIT_ERROR, XZ_OPTIONS_ERROR]

/** True when the bytes begin an xz stream. */
export function isXzMagic(bytes: Uint8Array, end: number): boolean {
  return end >= MAGIC.length && MAGIC.every((byte, at) => bytes[at] === byte)
}

/**
 * The `xz-decompress` package: xz-embedded as WebAssembly, so the input can reach nothing outside its own memory, which
 * holds a dictionary of 64 MiB at most (`xz -9`). Streams that follow each other are read as one. The package decodes
 * one capture at a time: a second one waits until the first is closed.
 */
export class XzDecompressor implements Decompressor {
  private readonly input: WritableStreamDefaultWriter<Uint8Array>
  private readonly output: ReadableStreamDefaultReader<Uint8Array>
  private readonly finished: Promise<void>

  static async open(onContent: OnContent): Promise<XzDecompressor> {
    const { default: xz } = await import('xz-decompress')
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
    // The same class under two names: Node's types and those of the DOM, which the package uses, do not know each other.
    const output = new xz.XzReadableStream(readable as unknown as XzInput) as unknown as ReadableStream<Uint8Array>
    return new XzDecompressor(writable.getWriter(), output.getReader(), onContent)
  }

  private constructor(
    input: WritableStreamDefaultWriter<Uint8Array>,
    output: ReadableStreamDefaultReader<Uint8Array>,
    onContent: OnContent,
  ) {
    this.input = input
    this.output = output
    this.finished = this.run(onContent)
    // Whoever writes or ends is told.
    this.finished.catch(() => {})
    this.input.closed.catch(() => {})
  }

  async write(piece: Uint8Array): Promise<void> {
    // The package works on it later, and the caller reuses it.
    await Promise.race([this.input.write(piece.slice()), this.finished])
  }

  async end(): Promise<void> {
    await Promise.race([this.input.close(), this.finished])
    await this.finished
  }

  async close(): Promise<void> {
    // After an error there is nothing left to cancel, and it was told already.
    await this.output.cancel().catch(() => {})
  }

  private async run(onContent: OnContent): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await this.output.read()
        if (done) return
        onContent(value)
      }
    } catch (cause) {
      throw xzError(cause as Error)
    }
  }
}

function xzError(cause: Error): DecompressionError {
  const code = Number(/error code (\d+)$/.exec(cause.message)?.[1])
  if (code === XZ_BUF_ERROR) return new DecompressionError('cut', cause.message, cause)
  if (!UNSUPPORTED.includes(code)) return new DecompressionError('damaged', `xz error ${code}`, cause)
  const message =
    'it needs a dictionary above 64 MiB, a filter or a checksum that is not read here; decompress it with `xz -d`'
  return new DecompressionError('unsupported', message, cause)
}
