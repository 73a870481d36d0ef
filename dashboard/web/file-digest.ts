import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'

/** Read at once; larger pieces gain nothing and hold memory. */
const PIECE_BYTES = 4 * 1024 * 1024

/**
 * SHA-256 of a file, hexadecimal, read piece by piece. WebCrypto takes only all bytes at once, and captures are larger
 * than memory.
 * @throws DOMException NotReadableError when the file was changed or removed meanwhile
 */
export async function digestFile(file: Blob): Promise<string> {
  const hash = sha256.create()
  for (let offset = 0; offset < file.size; offset += PIECE_BYTES) {
    hash.update(new Uint8Array(await file.slice(offset, offset + PIECE_BYTES).arrayBuffer()))
  }
  return bytesToHex(hash.digest())
}
