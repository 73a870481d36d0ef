import type { Transform } from 'node:stream'
import * as zlib from 'node:zlib'
import { DecompressionError, type Decompressor, type OnContent, TransformDecompressor } from './decompressor.ts'
import { le32 } from './word.ts'
import { ZstdFrames } from './zstd-frames.ts'

const CHUNK_BYTES = 256 * 1024
const CHECKSUM_BYTES = 4

/** Node has zstd from 22.15 and 23.8 on; the types are those of Node 20. */
const createZstdDecompress = (
  zlib as unknown as { createZstdDecompress?: (options: { chunkSize: number }) => Transform }
).createZstdDecompress

/** True where Node itself decompresses zstd. */
export const hasNativeZstd = createZstdDecompress !== undefined

/**
 * Opens a zstd stream of any number of frames.
 * @param isNative false for the decoder in JavaScript, which is all that older Nodes have: about a tenth of the speed
 */
export async function openZstd(onContent: OnContent, isNative = hasNativeZstd): Promise<Decompressor> {
  const frames = isNative
    ? new TransformDecompressor(createZstdDecompress!({ chunkSize: CHUNK_BYTES }), onContent)
    : await openScriptFrames(onContent)
  return new ZstdDecompressor(frames)
}

/** Decompresses bytes of frames, with none of the next frame behind the end of one. */
interface FrameDecompressor extends Decompressor {
  /** Called behind the last byte of each frame. */
  endFrame?(hasChecksum: boolean): void
}

/**
 * Feeds a decoder frame by frame, because Node's takes bytes behind a frame for rubbish and ends in silence there, as if
 * `cat a.zst b.zst` were a.zst alone.
 */
class ZstdDecompressor implements Decompressor {
  private readonly frames = new ZstdFrames()
  private readonly decoder: FrameDecompressor

  constructor(decoder: FrameDecompressor) {
    this.decoder = decoder
  }

  async write(piece: Uint8Array): Promise<void> {
    const { frames, decoder } = this
    for (let at = 0; at < piece.length; ) {
      const end = frames.pass(piece, at)
      await decoder.write(piece.subarray(at, end))
      if (frames.isBetween) decoder.endFrame?.(frames.hasChecksum)
      at = end
    }
  }

  async end(): Promise<void> {
    if (!this.frames.isBetween) throw new DecompressionError('cut', 'it ends within a frame')
  }

  close(): Promise<void> {
    return this.decoder.close()
  }
}

/**
 * The `fzstd` package, one decoder a frame; it leaves the checksum (RFC 8878 section 3.1.1) to `xxhash-wasm`. Without it
 * damage in stored literals would pass for content.
 */
async function openScriptFrames(onContent: OnContent): Promise<FrameDecompressor> {
  const [{ Decompress }, { default: loadXxhash }] = await Promise.all([import('fzstd'), import('xxhash-wasm')])
  const { create64 } = await loadXxhash()
  let hash = create64()
  const take = (chunk: Uint8Array): void => {
    hash.update(chunk)
    onContent(chunk)
  }
  let decoder = new Decompress(take)
  let tail: Uint8Array = new Uint8Array(0)
  const push = (bytes: Uint8Array, isLast: boolean): void => {
    try {
      decoder.push(bytes, isLast)
    } catch (cause) {
      throw new DecompressionError('damaged', (cause as Error).message, cause)
    }
  }
  return {
    async write(piece) {
      // It keeps what it cannot decode yet, and the caller reuses the piece.
      push(piece.slice(), false)
      tail = piece.length < CHECKSUM_BYTES ? Buffer.concat([tail, piece]) : piece
      tail = tail.slice(-CHECKSUM_BYTES)
    },
    endFrame(hasChecksum) {
      push(new Uint8Array(0), true)
      const isWrong = hasChecksum && Number(hash.digest() & 0xffff_ffffn) !== le32(tail, 0)
      if (isWrong) throw new DecompressionError('damaged', 'a checksum does not match')
      decoder = new Decompress(take)
      hash = create64()
    },
    async end() {},
    async close() {},
  }
}
