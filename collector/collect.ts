import { closeSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseTelescope } from '../schemas/address.ts'
import { type CaptureSummary, type CollectSummary, isSensorId } from '../schemas/batch.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { captureFile, fileKey } from './capture-files.ts'
import { collectInParallel, type ParallelResult, plannable } from './collect-in-parallel.ts'
import { Collector, type CollectorOptions } from './collector.ts'
import type { DeclaredSpan } from './coverage-recorder.ts'
import { fileError } from './durable-file.ts'
import { readOrCreateKey } from './key-file.ts'
import { formatLinkType, isLinkTypeSupported } from './link-type.ts'
import { listCaptures } from './list-captures.ts'
import { isLiveInput } from './open-byte-source.ts'
import { fileOf, Progress, totalBytes } from './progress.ts'
import { type Stop, stopOnSignal } from './stop-signal.ts'
import { visibleText } from './visible-text.ts'

/** With files only, a signal just ends the process: reading them again gives the same batches. */
const NEVER: Stop = { signal: new AbortController().signal, isAsked: false, release() {} }

export interface CollectRequest {
  /** Files, directories, or `-`. */
  readonly captures: readonly string[]
  readonly sensor: string
  /** Prefixes separated by commas. */
  readonly telescope: string
  readonly telescopeEpoch: number
  /** Folder for the batches; made when it is not there. */
  readonly out: string
  /** Key file; null for the sensor's own in the output folder. */
  readonly keyPath: string | null
  readonly batchSeconds: number
  readonly declared: DeclaredSpan | null
  /** Threads that may count at once. */
  readonly jobs: number
  /** DECAPSULATE_ and VERIFY_ bits of decode-options.ts. */
  readonly decodeOptions: number
  /** Told about what an operator should know and no summary holds. */
  readonly note: (line: string) => void
}

/**
 * What `hirundo collect` does: captures, in the order given, to batches in a folder.
 * @throws SENSOR_ID_INVALID, ADDRESS_INVALID, PREFIX_OVERLAPS, TELESCOPE_TOO_LARGE, KEY_INVALID, OUTPUT_UNWRITABLE,
 *   DISK_FULL; never for what is in a capture: that is in its summary
 */
export async function collect(request: CollectRequest): Promise<CollectSummary> {
  const startedAt = performance.now()
  const options = collectorOptions(request)
  const captures = await findCaptures(request.captures, request.note)
  const planned = captures.every(path => typeof path === 'string') ? plannable(captures, request.jobs) : null
  const result = planned
    ? await collectPlanned(request, options, planned, captures)
    : await collectInOrder(request, new Collector(options), captures)
  const seconds = (performance.now() - startedAt) / 1000
  const packets = result.summaries.reduce((sum, { packets_read }) => sum + packets_read, 0)
  return {
    captures: result.summaries,
    flows: result.flows,
    batches: result.batches,
    bytes_read: result.bytesRead,
    seconds: Number(seconds.toFixed(6)),
    packets_per_second: Math.round(packets / seconds),
  }
}

async function collectPlanned(
  request: CollectRequest,
  options: CollectorOptions,
  planned: NonNullable<ReturnType<typeof plannable>>,
  captures: readonly (string | CaptureSummary)[],
): Promise<ParallelResult> {
  const progress = new Progress(totalBytes(captures.filter(path => typeof path === 'string')))
  const onProgress = (bytes: number, packets: number): void => progress.update(bytes, packets)
  const result = await collectInParallel(options, planned, request.jobs, onProgress).finally(() => {
    progress.clear()
    for (const { descriptor } of planned) closeSync(descriptor)
  })
  for (const [at, summary] of result.summaries.entries()) {
    const unread = summary.drops.link_type_unsupported ?? 0
    if (unread > 0) request.note(unsupportedLinkNote(summary.path, unread, [planned[at]!.header.linkType]))
  }
  return result
}

async function collectInOrder(
  request: CollectRequest,
  collector: Collector,
  captures: readonly (string | CaptureSummary)[],
): Promise<ParallelResult> {
  const progress = new Progress(totalBytes(captures.filter(path => typeof path === 'string')))
  const note = (line: string): void => {
    progress.clear()
    request.note(line)
  }
  const stop = request.captures.some(isLiveInput) ? stopOnSignal(note) : NEVER
  const summaries: CaptureSummary[] = []
  let bytesRead = 0
  let packets = 0
  try {
    for (const [place, path] of captures.entries()) {
      if (stop.signal.aborted) break
      if (typeof path !== 'string') {
        summaries.push(path)
        continue
      }
      const { summary, result } = await collector.read(path, {
        signal: stop.signal,
        onChunk: bytes => {
          const packetsRead = packets + collector.packetsOfCapture
          progress.update(bytesRead + bytes, packetsRead, fileOf(place, captures.length))
        },
      })
      bytesRead += result.bytesRead
      packets += summary.packets_read
      const unread = summary.drops.link_type_unsupported ?? 0
      if (unread > 0 && result.error?.code !== 'LINK_TYPE_UNSUPPORTED') {
        progress.clear()
        request.note(unsupportedLinkNote(path, unread, result.linkTypes))
      }
      // When standard input was closed by us, that it ended early is no news.
      summaries.push(stop.signal.aborted ? { ...summary, truncated: false, error: null } : summary)
    }
    await collector.finish()
  } finally {
    progress.clear()
    stop.release()
  }
  return { summaries, flows: collector.flows, batches: collector.batches.length, bytesRead, parsed: [] }
}

/** A capture that could be read in part is no error, and its summary has no place for numbers of link types. */
function unsupportedLinkNote(path: string, packets: number, linkTypes: readonly number[]): string {
  const unsupported = linkTypes.filter(linkType => !isLinkTypeSupported(linkType)).map(formatLinkType)
  const types = unsupported.length === 0 ? 'that a pktap or ppi header names' : unsupported.join(', ')
  return `${visibleText(path)}: ${packets} packets dropped: link type ${types} is not supported`
}

/** @throws SENSOR_ID_INVALID */
export function checkSensorId(sensor: string): void {
  if (!isSensorId(sensor)) {
    throw new TelescopeError(
      'SENSOR_ID_INVALID',
      `sensor "${sensor}": 1 to 32 lower-case letters, digits and inner hyphens are allowed`,
      { sensor },
    )
  }
}

/** Checks what was asked for, and makes the output folder and the key. */
export function collectorOptions(request: Omit<CollectRequest, 'captures' | 'jobs'>): CollectorOptions {
  const { sensor, out, note } = request
  checkSensorId(sensor)
  const telescope = parseTelescope(request.telescope)
  try {
    mkdirSync(out, { recursive: true })
  } catch (error) {
    throw fileError(error, out)
  }
  const keyPath = request.keyPath ?? join(out, `${sensor}.key`)
  const { key, created } = readOrCreateKey(keyPath)
  if (created) {
    note(
      `key ${keyPath}: made, readable by you only; keep it, because destination indices can be compared under one key only`,
    )
  }
  const { telescopeEpoch, batchSeconds, declared, decodeOptions } = request
  return { sensor, telescope, telescopeEpoch, key, out, batchSeconds, declared, decodeOptions }
}

/**
 * The captures that the paths stand for; in place of a path that stands for none, what its summary says: a missing one
 * does not keep the others from being read.
 */
async function findCaptures(
  paths: readonly string[],
  note: (line: string) => void,
): Promise<(string | CaptureSummary)[]> {
  const found: (string | CaptureSummary)[] = []
  for (const path of paths) {
    try {
      found.push(...(await listCaptures([path], note)))
    } catch (error) {
      if (!(error instanceof TelescopeError && error.kind === 'input')) throw error
      const { code, message } = error
      found.push({
        path,
        format: null,
        packets_read: 0,
        packets_kept: 0,
        drops: {},
        first_packet: null,
        last_packet: null,
        truncated: false,
        error: { code, message, offset: null },
      })
    }
  }
  return eachOnce(found, note)
}

/** A file that is named twice, also by a link beside it, is one capture: counted twice its packets would be wrong. */
function eachOnce(
  captures: readonly (string | CaptureSummary)[],
  note: (line: string) => void,
): (string | CaptureSummary)[] {
  const met = new Map<string, string>()
  return captures.filter(path => {
    const file = typeof path !== 'string' || path === '-' ? null : captureFile(path)
    if (file === null) return true
    const before = met.get(fileKey(file))
    if (before === undefined) met.set(fileKey(file), file.path)
    else note(`${visibleText(file.path)}: is the same file as ${visibleText(before)}; it is counted once`)
    return before === undefined
  })
}
