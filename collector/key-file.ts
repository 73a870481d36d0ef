import { createHmac, randomBytes } from 'node:crypto'
import { closeSync, constants, existsSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { TelescopeError } from '../schemas/errors.ts'
import { createFile, removeLeftBeside } from './durable-file.ts'

const KEY_BYTES = 32

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
 * What tells two keys apart and says nothing about either: the first eight bytes of an HMAC of fixed words.
 * @returns sixteen hexadecimal digits
 */
export function keyCheck(key: Uint8Array): string {
  return createHmac('sha256', key).update('hirundo dst_index key').digest('hex').slice(0, 16)
}

/**
 * Reads the key of a sensor, or makes one (mode 0600, durable) where there is no file yet. Killed at any moment it
 * leaves no key or a whole one; the two starts of one sensor at once get the same.
 * @throws KEY_INVALID, also when other users can read the file; OUTPUT_UNWRITABLE, DISK_FULL
 */
export function readOrCreateKey(path: string): { key: Uint8Array; created: boolean } {
  removeLeftBeside(path)
  const made = randomBytes(KEY_BYTES)
  // Looked for first, so that a key in a folder that cannot be written is read.
  if (!existsSync(path) && createFile(path, `${made.toString('hex')}\n`)) {
    return { key: Uint8Array.from(made), created: true }
  }
  return { key: parseKey(readSecret(path, `key ${path}`), `key ${path}`), created: false }
}

/**
 * The text of a file with a secret.
 * @param name of the file in messages
 * @throws KEY_INVALID when it cannot be read, is no file, or other users can read it
 */
export function readSecret(path: string, name: string): string {
  let descriptor: number
  try {
    // Without waiting, or a pipe that nobody writes to would hold us here.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    throw unreadable(name, path, error as Error)
  }
  try {
    if (!fstatSync(descriptor).isFile()) {
      throw new TelescopeError('KEY_INVALID', `${name}: is no file; a secret is read from a file only`, { path })
    }
    refuseSharedSecret(descriptor, path)
    return readFileSync(descriptor, 'utf8')
  } catch (error) {
    throw error instanceof TelescopeError ? error : unreadable(name, path, error as Error)
  } finally {
    closeSync(descriptor)
  }
}

function unreadable(name: string, path: string, error: Error): TelescopeError {
  return new TelescopeError('KEY_INVALID', `${name}: cannot be read (${error.message})`, { path }, error)
}

/**
 * Refuses a secret that other users of the machine can read, as ssh does with its keys.
 * @throws KEY_INVALID
 */
function refuseSharedSecret(descriptor: number, path: string): void {
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
