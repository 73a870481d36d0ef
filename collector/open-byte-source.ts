import { fstatSync, open, read, type Stats, statSync } from 'node:fs'
import { constants, type FileHandle, open as openFile, stat } from 'node:fs/promises'
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
  return isPipe(fstatSync(STANDARD_INPUT)) ? new PipeSource(STANDARD_INPUT) : new FileSource(standardInputFile)
}

async function openPath(path: string, closed: Promise<void>): Promise<ByteSource> {
  return isPipe(await stat(path)) ? await openNamedPipe(path, closed) : new FileSource(await openFile(path, 'r'))
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

function unreadable(cause: unknown): CaptureError {
  const { code, message } = cause as NodeJS.ErrnoException
  if (code === 'ENOENT') return { code: 'CAPTURE_NOT_FOUND', message: 'capture: there is no such file', offset: null }
  const why = code === 'EACCES' ? 'permission denied' : code === 'EISDIR' ? 'it is a directory' : (code ?? message)
  return { code: 'CAPTURE_UNREADABLE', message: `capture: cannot be read: ${why}`, offset: null }
}

/** What FileSource needs of a file. */
type ReadableFile = Pick<FileHandle, 'close'> & {
  read(target: Uint8Array, offset: number, length: number, position: null): Promise<{ bytesRead: number }>
}

const readDescriptor = promisify(read)

/** A file that standard input was redirected from: read on from where it stands, and left open. */
const standardInputFile: ReadableFile = {
  read: (target, offset, length, position) => readDescriptor(STANDARD_INPUT, target, offset, length, position),
  close: async () => {},
}

class FileSource implements ByteSource {
  bytesRead = 0
  error: CaptureError | null = null
  private readonly file: ReadableFile

  constructor(file: ReadableFile) {
    this.file = file
  }

  async read(target: Uint8Array, offset: number, length: number): Promise<number> {
    if (this.error) return 0
    try {
      const { bytesRead } = await this.file.read(target, offset, length, null)
      this.bytesRead += bytesRead
      return bytesRead
    } catch (cause) {
      this.error = unreadable(cause)
      return 0
    }
  }

  close(): Promise<void> {
    return this.file.close()
  }
}
