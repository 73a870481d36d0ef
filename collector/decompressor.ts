import type { Transform } from 'node:stream'

/** Takes decompressed bytes in order; they stay valid. */
export type OnContent = (chunk: Uint8Array) => void

/** One compressed stream, from its first byte to its last; what it holds goes to the OnContent it was opened with. */
export interface Decompressor {
  /**
   * Resolves when the content of the piece was handed out, as far as its bytes allow; the piece may be reused then.
   * @throws DecompressionError
   */
  write(piece: Uint8Array): Promise<void>
  /**
   * Says that nothing more comes.
   * @throws DecompressionError when the stream is not complete
   */
  end(): Promise<void>
  /** Frees what is held; calls that wait may fail. */
  close(): Promise<void>
}

/** Why a compressed stream ends before its content does: cut short, damaged, or beyond what is read here. */
export class DecompressionError extends Error {
  readonly kind: 'cut' | 'damaged' | 'unsupported'

  constructor(kind: DecompressionError['kind'], message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.kind = kind
  }
}

/** A decompressor of Node's zlib, which works on a thread of its own while ours goes on. */
export class TransformDecompressor implements Decompressor {
  private readonly stream: Transform
  private failure: DecompressionError | null = null
  /** Fails the call that waits: after an error, and when closed, zlib leaves it without an answer. */
  private fail: (failure: DecompressionError) => void = () => {}

  constructor(stream: Transform, onContent: OnContent) {
    this.stream = stream
    stream.on('data', onContent)
    stream.on('error', cause => {
      this.failure ??= zlibError(cause)
    })
    stream.on('close', () => {
      this.failure ??= new DecompressionError('cut', 'closed')
      this.fail(this.failure)
    })
  }

  write(piece: Uint8Array): Promise<void> {
    return this.answered(resolve => this.stream.write(piece, cause => (cause ? undefined : resolve())))
  }

  /** zlib throws away the output of the call in which it finds an error, so the end comes without a last piece. */
  end(): Promise<void> {
    return this.answered(resolve => {
      this.stream.once('end', resolve)
      this.stream.end()
    })
  }

  async close(): Promise<void> {
    this.stream.destroy()
  }

  private answered(ask: (resolve: () => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.fail = reject
      if (this.stream.closed) reject(this.failure)
      else ask(resolve)
    })
  }
}

function zlibError(cause: NodeJS.ErrnoException): DecompressionError {
  return cause.code === 'Z_BUF_ERROR'
    ? new DecompressionError('cut', cause.message, cause)
    : new DecompressionError('damaged', cause.message, cause)
}
