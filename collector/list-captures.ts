import { type Dirent, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { TelescopeError } from '../schemas/errors.ts'
import { Packet } from './packet.ts'
import { readCapture } from './read-capture.ts'

/**
 * The captures that paths name: a file is itself, `-` is standard input, a directory stands for the files in it (not
 * below it, and no hidden ones) that are captures by their first bytes, in the order of their first packets; those
 * without packets come last.
 * @throws CAPTURE_NOT_FOUND, CAPTURE_UNREADABLE
 */
export async function listCaptures(paths: readonly string[]): Promise<string[]> {
  const captures: string[] = []
  for (const path of paths) {
    if (path !== '-' && isDirectory(path)) captures.push(...(await capturesIn(path)))
    else captures.push(path)
  }
  return captures
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch (cause) {
    throw accessError(path, cause)
  }
}

async function capturesIn(folder: string): Promise<string[]> {
  const found: { path: string; firstSeconds: number }[] = []
  for (const name of fileNames(folder)) {
    const path = join(folder, name)
    const firstSeconds = await firstPacketTime(path)
    if (firstSeconds !== null) found.push({ path, firstSeconds })
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

/** @returns Unix seconds; Infinity for a capture without packets, null for a file that is no capture */
async function firstPacketTime(path: string): Promise<number | null> {
  const abort = new AbortController()
  let first = Number.POSITIVE_INFINITY
  const take = (packet: Packet): void => {
    if (first === Number.POSITIVE_INFINITY) first = packet.seconds + packet.nanoseconds / 1e9
  }
  const onChunk = (): void => {
    if (first !== Number.POSITIVE_INFINITY) abort.abort()
  }
  const { format } = await readCapture(path, new Packet(), take, { onChunk, signal: abort.signal })
  return format === null ? null : first
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
