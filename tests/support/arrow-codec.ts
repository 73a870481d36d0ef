import { CompressionType, compressionRegistry } from 'apache-arrow'
import { decodeLz4Frame } from '../../schemas/lz4-frame.ts'

/** apache-arrow knows no compression by itself: with this import it reads batches. */
compressionRegistry.set(CompressionType.LZ4_FRAME, {
  decode(frame) {
    // Most are small, and room for the largest is not made for each.
    const bytes = decodeLz4Frame(frame, 2 ** 16) ?? decodeLz4Frame(frame, 2 ** 24)
    if (bytes === null) throw new Error('an LZ4 frame is damaged')
    return bytes
  },
})
