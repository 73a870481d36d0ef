import type { CaptureError } from './capture-result.ts'

/** A capture compresses 3 to 30 times; beyond this the content is taken for a bomb (deflate can reach 1032). */
const RATIO_MAX = 100
/** The ratio is judged only after this much content: a small capture of equal packets may compress very well. */
const RATIO_JUDGED_FROM_BYTES = 1024 * 1024

/** Counts what goes into a decompressor and what comes out, and tells when it is a bomb: for every compression alike. */
export class ExpansionGuard {
  compressedBytes = 0
  contentBytes = 0
  private readonly name: string
  private readonly contentBytesMax: number

  /**
   * @param name of the compression, for the message
   * @param contentBytesMax more decompressed bytes than this are a bomb
   */
  constructor(name: string, contentBytesMax: number) {
    this.name = name
    this.contentBytesMax = contentBytesMax
  }

  /** Counts content that came out of the compressed bytes counted so far. */
  countContent(byteCount: number): CaptureError | null {
    this.contentBytes += byteCount
    const { compressedBytes, contentBytes, contentBytesMax, name } = this
    const isTooDense = contentBytes > RATIO_JUDGED_FROM_BYTES && contentBytes > RATIO_MAX * compressedBytes
    if (!isTooDense && contentBytes <= contentBytesMax) return null
    const limit = isTooDense ? `${RATIO_MAX} times the compressed bytes` : `${contentBytesMax} bytes`
    const message = `${name}: ${compressedBytes} bytes expand to ${contentBytes} or more, allowed are ${limit}; decompress it yourself if you trust it`
    return { code: 'COMPRESSION_BOMB', message, offset: contentBytes }
  }
}
