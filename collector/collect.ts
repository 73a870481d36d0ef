import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseTelescope } from '../schemas/address.ts'
import { type CaptureSummary, type CollectSummary, isSensorId } from '../schemas/batch.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { Collector, type CollectorOptions } from './collector.ts'
import type { DeclaredSpan } from './coverage-recorder.ts'
import { fileError } from './durable-file.ts'
import { readOrCreateKey } from './key-file.ts'
import { formatLinkType, isLinkTypeSupported } from './link-type.ts'
import { listCaptures } from './list-captures.ts'
import { Progress } from './progress.ts'
import { type Stop, stopOnSignal } from './stop-signal.ts'

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
  const collector = openCollector(request)
  // A quiet pipe would keep the read waiting.
  const onStop = (): void => void process.stdin.destroy()
  const stop = request.captures.includes('-') ? stopOnSignal(request.note, { onStop }) : NEVER
  const summaries: CaptureSummary[] = []
  let bytesRead = 0
  let packets = 0
  try {
    const captures = await findCaptures(request.captures)
    const progress = new Progress(totalBytes(captures))
    for (const path of captures) {
      if (stop.signal.aborted) break
      if (typeof path !== 'string') {
        summaries.push(path)
        continue
      }
      const { summary, result } = await collector.read(path, {
        signal: stop.signal,
        onChunk: bytes => progress.update(bytesRead + bytes, packets + collector.packetsOfCapture),
      })
      bytesRead += result.bytesRead
      packets += summary.packets_read
      const unread = summary.drops.link_type_unsupported ?? 0
      if (unread > 0 && result.error?.code !== 'LINK_TYPE_UNSUPPORTED')
        request.note(unsupportedLinkNote(path, unread, result.linkTypes))
      // When standard input was closed by us, that it ended early is no news.
      summaries.push(stop.signal.aborted ? { ...summary, truncated: false, error: null } : summary)
    }
    progress.clear()
    await collector.finish()
  } finally {
    stop.release()
  }
  const seconds = (performance.now() - startedAt) / 1000
  return {
    captures: summaries,
    flows: collector.flows,
    batches: collector.batches.length,
    bytes_read: bytesRead,
    seconds: Number(seconds.toFixed(6)),
    packets_per_second: Math.round(packets / seconds),
  }
}

/** A capture that could be read in part is no error, and its summary has no place for numbers of link types. */
function unsupportedLinkNote(path: string, packets: number, linkTypes: readonly number[]): string {
  const unsupported = linkTypes.filter(linkType => !isLinkTypeSupported(linkType)).map(formatLinkType)
  const types = unsupported.length === 0 ? 'that a pktap or ppi header names' : unsupported.join(', ')
  return `${path}: ${packets} packets dropped: link type ${types} is not supported`
}

/** Checks what was asked for, makes the output folder and the key, and opens a collector. */
export function openCollector(
  request: Omit<CollectRequest, 'captures'>,
  live: Pick<CollectorOptions, 'journal'> = {},
): Collector {
  const { sensor, out, note } = request
  if (!isSensorId(sensor)) {
    throw new TelescopeError(
      'SENSOR_ID_INVALID',
      `sensor "${sensor}": 1 to 32 lower-case letters, digits and inner hyphens are allowed`,
      { sensor },
    )
  }
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
  return new Collector({ sensor, telescope, telescopeEpoch, key, out, batchSeconds, declared, decodeOptions, ...live })
}

/**
 * The captures that the paths stand for; in place of a path that stands for none, what its summary says: a missing one
 * does not keep the others from being read.
 */
async function findCaptures(paths: readonly string[]): Promise<(string | CaptureSummary)[]> {
  const found: (string | CaptureSummary)[] = []
  for (const path of paths) {
    try {
      found.push(...(await listCaptures([path])))
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
  return found
}

/** Bytes on disk of all captures; null when one is a pipe. */
function totalBytes(captures: readonly (string | CaptureSummary)[]): number | null {
  let total = 0
  for (const path of captures) {
    if (typeof path !== 'string') continue
    const stats = path === '-' ? undefined : statSync(path, { throwIfNoEntry: false })
    if (!stats?.isFile()) return null
    total += stats.size
  }
  return total
}
