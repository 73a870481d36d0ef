import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { CollectSummary } from '../schemas/batch.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { type CaptureFile, captureFile, captureFilesIn } from './capture-files.ts'
import { identifyCapture } from './capture-identity.ts'
import { ChangeWaker } from './change-waker.ts'
import { type CollectRequest, collectorOptions } from './collect.ts'
import { Collector } from './collector.ts'
import { LiveReader } from './live-reader.ts'
import { LiveState } from './live-state.ts'
import { Progress } from './progress.ts'
import { type Stop, stopOnSignal } from './stop-signal.ts'

/** Files are looked at this often when the system tells of no change. */
const POLL_MILLISECONDS = 1000
/** The same after a signal, and how long nothing may come until the input counts as ended. */
const DRAIN_POLL_MILLISECONDS = 100
const DRAIN_QUIET_MILLISECONDS = 500

interface LiveRequest extends Omit<CollectRequest, 'captures' | 'declared' | 'jobs'> {
  /** The file to follow, or the folder to watch. */
  readonly path: string
  readonly mode: 'follow' | 'watch'
  /** Whoever heeds signals already hands this in; by default signals are heeded here. */
  readonly stop?: Stop
  /** Given what ends a wait at once, for whoever hands in `stop`. */
  readonly onWake?: (wake: () => void) => void
}

/**
 * What `hirundo collect --follow` and `--watch` do: read what is there, and what comes, until a signal.
 * @throws as `collect`; USAGE, CAPTURE_NOT_FOUND and CAPTURE_UNREADABLE for the path, STATE_INVALID, DATA_IN_USE
 */
export async function collectLive(request: LiveRequest): Promise<CollectSummary> {
  const startedAt = performance.now()
  const { path, mode, note, batchSeconds } = request
  await checkPath(path, mode)
  const state = new LiveState(request.out, request.sensor)
  const collector = new Collector({ ...collectorOptions({ ...request, declared: null }), journal: state })
  const progress = new Progress(null)
  const tell = (line: string): void => {
    progress.clear()
    note(line)
  }
  const waker = new ChangeWaker(mode === 'watch' ? path : dirname(path))
  const stop = request.stop ?? stopOnSignal(tell, () => waker.wake())
  request.onWake?.(() => waker.wake())
  let reader: LiveReader
  try {
    state.open(tell)
    reader = new LiveReader({
      collector,
      state,
      list: createListing(path, mode, tell),
      isSingle: mode === 'follow',
      batchSeconds,
      signal: stop.signal,
      note: tell,
      onProgress: (bytes, packets) => progress.update(bytes, packets),
    })
    await readUntilStopped(reader, waker, stop)
    await collector.finish()
    await reader.finish()
    state.close()
  } finally {
    progress.clear()
    if (request.stop === undefined) stop.release()
    waker.close()
  }
  const seconds = (performance.now() - startedAt) / 1000
  return {
    captures: reader.summaries,
    flows: state.flows,
    batches: state.batches,
    bytes_read: reader.bytesRead,
    seconds: Number(seconds.toFixed(6)),
    packets_per_second: Math.round(reader.packets / seconds),
  }
}

async function readUntilStopped(reader: LiveReader, waker: ChangeWaker, stop: Stop): Promise<void> {
  let cameAt = performance.now()
  let wasAsked = false
  while (!stop.signal.aborted) {
    const hasCome = await reader.readNew()
    if (reader.hasFailed) return
    if (hasCome || stop.isAsked !== wasAsked) cameAt = performance.now()
    wasAsked = stop.isAsked
    if (wasAsked && performance.now() - cameAt >= DRAIN_QUIET_MILLISECONDS) return
    reader.endIdleBatch()
    await waker.wait(stop.isAsked ? DRAIN_POLL_MILLISECONDS : POLL_MILLISECONDS)
  }
}

/** @throws USAGE, CAPTURE_NOT_FOUND, CAPTURE_UNREADABLE */
async function checkPath(path: string, mode: 'follow' | 'watch'): Promise<void> {
  if (mode === 'watch' && captureFile(path) !== null) {
    throw new TelescopeError('USAGE', `collect: ${path} is a file; --watch takes a directory, --follow a file`)
  }
  if (mode === 'watch') return void captureFilesIn(path)
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats?.isDirectory()) {
    throw new TelescopeError('USAGE', `collect: ${path} is a directory; --follow takes a file, --watch a directory`)
  }
  if (stats && !stats.isFile()) {
    throw new TelescopeError('USAGE', `collect: ${path} is no regular file; a pipe needs no --follow`)
  }
  if (!stats) {
    throw new TelescopeError('CAPTURE_NOT_FOUND', `capture ${path}: there is no such file`, { path })
  }
  const { format } = await identifyCapture(path)
  if (format?.includes(' (')) {
    throw new TelescopeError(
      'USAGE',
      `collect: ${path} is ${format}: what is compressed cannot be followed, --watch takes it when it is whole`,
    )
  }
}

/** Looks at the path again each time; a folder or file that is gone for a while is waited for, and told about. */
function createListing(path: string, mode: 'follow' | 'watch', note: (line: string) => void): () => CaptureFile[] {
  let isGone = false
  return () => {
    const files = mode === 'watch' ? filesIn(path) : [captureFile(path)].filter(file => file !== null)
    const wasGone = isGone
    isGone = files === null || (mode === 'follow' && files.length === 0)
    if (isGone && !wasGone) note(`${path}: it is gone; waiting for it to come back`)
    return files ?? []
  }
}

/** @returns null when the folder cannot be read */
function filesIn(folder: string): CaptureFile[] | null {
  try {
    return captureFilesIn(folder)
  } catch (error) {
    if (error instanceof TelescopeError && error.kind === 'input') return null
    throw error
  }
}
