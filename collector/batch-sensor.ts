import { type FileHandle, open } from 'node:fs/promises'
import { parseBatchMetadata } from './batch-metadata.ts'
import { BatchReader } from './batch-reader.ts'

const PREFIX_BYTES = 8
/** Far more than ten thousand spans take. */
const SCHEMA_BYTES_MAX = 4 * 1024 * 1024

/**
 * The sensor that a batch names.
 * @returns null where it cannot be read: then it is for the hub to say what is wrong
 * @throws what the file system says as it comes
 */
export async function batchSensor(path: string): Promise<string | null> {
  const file = await open(path, 'r')
  try {
    const prefix = await readStart(file, PREFIX_BYTES)
    if (prefix.length < PREFIX_BYTES) return null
    const length = prefix.readUInt32LE(4)
    if (length > SCHEMA_BYTES_MAX) return null
    return parseBatchMetadata(new BatchReader(await readStart(file, PREFIX_BYTES + length)).metadata).sensor
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall !== undefined) throw error
    return null
  } finally {
    await file.close()
  }
}

async function readStart(file: FileHandle, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, 0)
  return buffer.subarray(0, bytesRead)
}
