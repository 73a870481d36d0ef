import { createGunzip } from 'node:zlib'
import { type Decompressor, type OnContent, TransformDecompressor } from './decompressor.ts'
import { isXzMagic, XzDecompressor } from './xz-decompressor.ts'
import { openZstd } from './zstd-decompressor.ts'
import { isZstdMagic } from './zstd-frames.ts'

/** Compressions that captures come in, each told by its first bytes. */
export interface Compression {
  readonly name: 'gzip' | 'zstd' | 'xz'
  isMagic(bytes: Uint8Array, end: number): boolean
  open(onContent: OnContent): Decompressor | Promise<Decompressor>
}

/** Large, because each chunk is a turn of the event loop, and a wait when others use the machine, too. */
const GUNZIP_CHUNK_BYTES = 1024 * 1024

const COMPRESSIONS: readonly Compression[] = [
  {
    name: 'gzip',
    /** RFC 1952 section 2.3.1. Any number of members. */
    isMagic: (bytes, end) => end >= 2 && bytes[0] === 0x1f && bytes[1] === 0x8b,
    open: onContent => new TransformDecompressor(createGunzip({ chunkSize: GUNZIP_CHUNK_BYTES }), onContent),
  },
  { name: 'zstd', isMagic: isZstdMagic, open: onContent => openZstd(onContent) },
  { name: 'xz', isMagic: isXzMagic, open: onContent => XzDecompressor.open(onContent) },
]

/** How the bytes are compressed; null when they are not. */
export function compressionOf(bytes: Uint8Array, end: number): Compression | null {
  return COMPRESSIONS.find(({ isMagic }) => isMagic(bytes, end)) ?? null
}
