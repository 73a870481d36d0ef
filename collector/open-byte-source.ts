import { fstatSync, open, readSync, type Stats, statSync } from 'node:fs'
import { constants, open as openFile, stat } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import { isatty } from 'node:tty'
import { promisify } from 'node:util'
import type { ByteSource } from './byte-source.ts'
import type { CaptureError } from './capture-result.ts'
import { PipeSource } from './pipe-source.ts'

const STANDARD_INPUT = 0
const STANDARD_INPUT_PATHS: readonly string[] = ['-', '/dev/stdin']

/** True for standard input and named pipes: what comes from there can be read only once, and may never end. */
export function isLiveInput(path: string): boolean {
  return STANDARD_INPUT_PATHS.includes(path) || (statSync(path, { throwIfNoEntry: false })?.isFIFO() ?? false)
}

/**
 * Opens a file, a named pipe, or standard input for `-` and `/dev/stdin`. What the system refuses is the error of the
 * source, found on first read.
 */
export function openByteSource(path: string): ByteSource {
  return new OpeningSource(STANDARD_INPUT_PATHS.includes(path) ? openStandardInput : closed => openPath(path, closed))
}

/** Opens on first read, and tells errors of opening as errors of reading. */
class OpeningSource implements ByteSource {
  private readonly open: (closed: Promise<void>) => Promise<ByteSource>
  private opening: Promise<ByteSource> | null = null
  private inner: ByteSource | null = null
  private failure: CaptureError | null = null
  private onClosed: () => void = () => {}
  private readonly closed = new Promise<void>(resolve => {
    this.onClosed = resolve
  })

  /** @param open told when the source is closed meanwhile */
  constructor(open: (closed: Promise<void>) => Promise<ByteSource>) {
    this.open = open
  }

  get bytesRead(): number {
    return this.inner?.bytesRead ?? 0
  }

  get error(): CaptureError | null {
    return this.failure ?? this.inner?.error ?? null
  }

  async read(target: Uint8Array, offset: number, length: number): Promise<number> {
    if (this.failure) return 0
    try {
      this.opening ??= this.open(this.closed)
      this.inner ??= await this.opening
    } catch (cause) {
      this.failure = unreadable(cause)
      return 0
    }
    return this.inner.read(target, offset, length)
  }

  async close(): Promise<void> {
    this.onClosed()
    // An error of opening was told to whoever read.
    const inner = await this.opening?.catch(() => null)
    await inner?.close()
  }
}

async function openStandardInput(): Promise<ByteSource> {
  if (isatty(STANDARD_INPUT)) throw new Error('it is a terminal; pipe a capture into it')
  return isPipe(fstatSync(STANDARD_INPUT))
    ? new PipeSource(STANDARD_INPUT)
    : // A file that standard input was redirected from: read on from where it stands, and left open.
      new FileSource(STANDARD_INPUT, async () => {})
}

async function openPath(path: string, closed: Promise<void>): Promise<ByteSource> {
  if (isPipe(await stat(path))) return await openNamedPipe(path, closed)
  const file = await openFile(path, 'r')
  return new FileSource(file.fd, () => file.close())
}

/** Opening waits until somebody writes; to end that wait, we open it for writing ourselves. */
async function openNamedPipe(path: string, closed: Promise<void>): Promise<ByteSource> {
  let isOpen = false
  const opening = promisify(open)(path, 'r')
  const endWait = async (): Promise<void> => {
    if (isOpen) return
    const writer = await openFile(path, constants.O_RDWR | constants.O_NONBLOCK)
    await opening.finally(() => writer.close())
  }
  void closed.then(endWait)
  const descriptor = await opening
  isOpen = true
  return new PipeSource(descriptor)
}

function isPipe(stats: Stats): boolean {
  return stats.isFIFO() || stats.isSocket()
}

/** What the system refused. */
export function unreadable(cause: unknown): CaptureError {
  const { code, message } = cause as NodeJS.ErrnoException
  if (code === 'ENOENT') return { code: 'CAPTURE_NOT_FOUND', message: 'capture: there is no such file', offset: null }
  const why = code === 'EACCES' ? 'permission denied' : code === 'EISDIR' ? 'it is a directory' : (code ?? message)
  return { code: 'CAPTURE_UNREADABLE', message: `capture: cannot be read: ${why}`, offset: null }
}

/** So many bytes of a file are read before others get their turn: signals, batches that become durable. */
const TURN_BYTES = 16 * 1024 * 1024

/**
 * A file is read synchronously: what is not in memory yet the kernel reads ahead, and a thread for each piece costs more
 * than it saves.
 */
class FileSource implements ByteSource {
  bytesRead = 0
  error: CaptureError | null = null
  private bytesOfTurn = 0
  private readonly descriptor: number
  private readonly onClose: () => Promise<void>

  /** @param onClose what closing the source does */
  constructor(descriptor: number, onClose: () => Promise<void>) {
    this.descriptor = descriptor
    this.onClose = onClose
  }

  async read(target: Uint8Array, offset: number, length: number): Promise<number> {
    if (this.error) return 0
    if (this.bytesOfTurn >= TURN_BYTES) {
      this.bytesOfTurn = 0
      await setImmediate()
    }
    try {
      const count = readSync(this.descriptor, target, offset, length, null)
      this.bytesRead += count
      this.bytesOfTurn += count
      return count
    } catch (cause) {
      this.error = unreadable(cause)
      return 0
    }
  }

  close(): Promise<void> {
    return this.onClose()
  }
}
