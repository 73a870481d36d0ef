import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs'

/** Flips one bit of a file in place; the same call once more puts it back. @param seed chooses the bit */
export function flipBit(path: string, seed: number): void {
  const descriptor = openSync(path, 'r+')
  try {
    const bit = (seed * 2_654_435_761) % (fstatSync(descriptor).size * 8)
    const byte = Buffer.alloc(1)
    readSync(descriptor, byte, 0, 1, bit >> 3)
    byte[0]! ^= 1 << (bit & 7)
    writeSync(descriptor, byte, 0, 1, bit >> 3)
  } finally {
    closeSync(descriptor)
  }
}
