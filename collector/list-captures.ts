import { type Dirent, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { TelescopeError } from '../schemas/errors.ts'
import type { CaptureError } from './capture-result.ts'
import { Packet } from './packet.ts'
import { readCapture } from './read-capture.ts'
import { visibleText } from './visible-text.ts'

/**
 * The captures that paths name: a file is itself, `-` is standard input, a directory stands for the files in it (not
 * below it, and no hidden ones) that are captures by their first bytes, in the order of their first packets; those
 * without packets come last. What else a directory holds is told, so that a missing day never looks like a quiet one.
 * @param note told of each file with bytes that is no capture, and why
 * @throws CAPTURE_NOT_FOUND, CAPTURE_UNREADABLE
 */
export async function listCaptures(paths: readonly string[], note: (line: string) => void): Promise<string[]> {
  const captures: string[] = []
  for (const path of paths) {
    if (path !== '-' && isDirectory(path)) captures.push(...(await capturesIn(path, note)))
    else captures.push(path)
  }
  return captures
}

/** For commands that have nothing else to say it with. */
export function noteToStderr(line: string): void {
  process.stderr.write(`hirundo: ${line}\n`)
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch (cause) {
    throw accessError(path, cause)
  }
}

async function capturesIn(folder: string, note: (line: string) => void): Promise<string[]> {
  const found: { path: string; firstSeconds: number }[] = []
  for (const name of fileNames(folder)) {
    const path = join(folder, name)
    const { firstSeconds, error } = await firstPacketTime(path)
    if (firstSeconds !== null) found.push({ path, firstSeconds })
    else if (error !== null && error.code !== 'CAPTURE_EMPTY') {
      note(`${visibleText(path)}: passed over: ${visibleText(error.message)} [${error.code}]`)
    }
  }
  if (found.length === 0) {
    const message = `directory ${folder}: no file in it is a capture (pcap, pcapng or snoop, plain or compressed with gzip, zstd or xz)`
    throw new TelescopeError('CAPTURE_NOT_FOUND', message, { path: folder })
  }
  // Names decide between equals, and they come sorted.
  return found.sort((a, b) => compare(a.firstSeconds, b.firstSeconds)).map(({ path }) => path)
}

function compare(a: number, b: number): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function fileNames(folder: string): string[] {
  let entries: Dirent[]
  try {
    entries = readdirSync(folder, { withFileTypes: true })
  } catch (cause) {
    throw accessError(folder, cause)
  }
  const files = entries.filter(entry => entry.isFile() || (entry.isSymbolicLink() && isLinkToFile(folder, entry.name)))
  return files
    .map(({ name }) => name)
    .filter(name => !name.startsWith('.'))
    .sort()
}

function isLinkToFile(folder: string, name: string): boolean {
  try {
    return statSync(join(folder, name)).isFile()
  } catch {
    return false
  }
}

/** Unix seconds; Infinity for a capture without packets, null, and why, for a file that is no capture. */
async function firstPacketTime(path: string): Promise<{ firstSeconds: number | null; error: CaptureError | null }> {
  const abort = new AbortController()
  let first = Number.POSITIVE_INFINITY
  const take = (packet: Packet): void => {
    if (first === Number.POSITIVE_INFINITY) first = packet.seconds + packet.nanoseconds / 1e9
  }
  const onChunk = (): void => {
    if (first !== Number.POSITIVE_INFINITY) abort.abort()
  }
  const { format, error } = await readCapture(path, new Packet(), take, { onChunk, signal: abort.signal })
  return { firstSeconds: format === null ? null : first, error }
}

function accessError(path: string, cause: unknown): TelescopeError {
  const { code } = cause as NodeJS.ErrnoException
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new TelescopeError(
      'CAPTURE_NOT_FOUND',
      `capture ${path}: there is no such file or directory`,
      { path },
      cause,
    )
  }
  return new TelescopeError('CAPTURE_UNREADABLE', `capture ${path}: cannot be opened: ${code}`, { path }, cause)
}
