import { randomBytes } from 'node:crypto'
import { closeSync, fstatSync, fsyncSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { TelescopeError } from '../schemas/errors.ts'
import { fileError, syncDirectory } from './durable-file.ts'

const KEY_TEXT = /^[0-9a-f]{64}$/i

/**
 * Reads a 256-bit key written as 64 hexadecimal digits; white space around them is allowed.
 * @throws KEY_INVALID
 */
export function parseKey(text: string, name: string): Uint8Array {
  const digits = text.trim()
  if (!KEY_TEXT.test(digits)) {
    // The text itself is not shown: a slip may have put another secret there.
    throw new TelescopeError(
      'KEY_INVALID',
      `${name}: ${digits.length} characters, a key is 64 hexadecimal digits; make one with: openssl rand -hex 32`,
      { characters: digits.length },
    )
  }
  return Uint8Array.from(Buffer.from(digits, 'hex'))
}

/**
 * Reads the key of a sensor, or makes one (mode 0600, synced) where there is no file yet.
 * @throws KEY_INVALID, also when other users can read the file; OUTPUT_UNWRITABLE, DISK_FULL
 */
export function readOrCreateKey(path: string): { key: Uint8Array; created: boolean } {
  let descriptor: number
  try {
    descriptor = openSync(path, 'wx', 0o600)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return { key: readKey(path), created: false }
    throw fileError(error, path)
  }
  try {
    const key = randomBytes(32)
    writeSync(descriptor, `${key.toString('hex')}\n`)
    fsyncSync(descriptor)
    syncDirectory(dirname(path))
    return { key: Uint8Array.from(key), created: true }
  } catch (error) {
    // Half a key would be taken for a wrong one at the next start.
    rmSync(path, { force: true })
    throw fileError(error, path)
  } finally {
    closeSync(descriptor)
  }
}

function readKey(path: string): Uint8Array {
  let descriptor: number
  try {
    descriptor = openSync(path, 'r')
  } catch (error) {
    throw new TelescopeError(
      'KEY_INVALID',
      `key ${path}: cannot be read (${(error as Error).message})`,
      { path },
      error,
    )
  }
  try {
    refuseSharedSecret(descriptor, path)
    return parseKey(readFileSync(descriptor, 'utf8'), `key ${path}`)
  } finally {
    closeSync(descriptor)
  }
}

/**
 * Refuses a secret that other users of the machine can read, as ssh does with its keys.
 * @throws KEY_INVALID
 */
export function refuseSharedSecret(descriptor: number, path: string): void {
  const mode = fstatSync(descriptor).mode & 0o777
  // Windows has no such bits.
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    throw new TelescopeError(
      'KEY_INVALID',
      `${path}: mode ${mode.toString(8)} lets other users read it; run: chmod 600 ${path}`,
      { path, mode: mode.toString(8) },
    )
  }
}
