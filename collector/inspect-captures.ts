import { type CaptureInspection, CaptureInspector } from './capture-inspection.ts'
import type { CaptureResult } from './capture-result.ts'
import type { LikelyPrefix } from './likely-prefixes.ts'
import { Packet } from './packet.ts'
import { fileOf, Progress, totalBytes } from './progress.ts'
import { readCapture } from './read-capture.ts'

interface InspectOptions {
  /** DECAPSULATE_ and VERIFY_ bits of decode-options.ts; none by default. */
  readonly decodeOptions?: number
  /** Ends the reading; what was read until then is told. */
  readonly signal?: AbortSignal
  /** Called when a capture has been read, with its place from 0. */
  readonly onInspection?: (inspection: CaptureInspection, place: number) => void
}

interface InspectedCaptures {
  readonly captures: readonly CaptureInspection[]
  /** All of them together; the same as the only one, but for the path. */
  readonly total: CaptureInspection
  /** Of all captures together, without the bound that `likely_prefixes` has. */
  readonly likelyPrefixes: readonly LikelyPrefix[]
}

/** Reads captures (files, or `-`) once and tells what is in each and in all; shows progress on a terminal. */
export async function inspectCaptures(
  paths: readonly string[],
  { decodeOptions = 0, signal, onInspection }: InspectOptions = {},
): Promise<InspectedCaptures> {
  const progress = new Progress(totalBytes(paths))
  const all = new CaptureInspector()
  const packet = new Packet()
  packet.decodeOptions = decodeOptions
  const results: CaptureResult[] = []
  const captures: CaptureInspection[] = []
  let bytesBefore = 0
  let packetsBefore = 0
  for (const [place, path] of paths.entries()) {
    if (signal?.aborted) break
    // The only capture needs no second count.
    const inspector = paths.length === 1 ? all : new CaptureInspector()
    packet.index = 0
    const onChunk = (bytes: number): void =>
      progress.update(bytesBefore + bytes, packetsBefore + packet.index, fileOf(place, paths.length))
    try {
      const options = signal === undefined ? { onChunk } : { onChunk, signal }
      results.push(await readCapture(path, packet, inspected => inspector.add(inspected), options))
    } finally {
      progress.clear()
    }
    const result = results.at(-1)!
    bytesBefore += result.bytesRead
    packetsBefore += result.packetsRead
    if (inspector !== all) all.merge(inspector)
    captures.push(inspector.finish(result))
    onInspection?.(captures.at(-1)!, place)
  }
  return { captures, total: all.finish(commonFacts(results)), likelyPrefixes: all.likelyPrefixes() }
}

function commonFacts(results: readonly CaptureResult[]): Parameters<CaptureInspector['finish']>[0] {
  const lost = results.map(({ interfaceDrops }) => interfaceDrops).filter(drops => drops !== null)
  return {
    path: null,
    format: null,
    linkTypes: [...new Set(results.flatMap(({ linkTypes }) => linkTypes))],
    interfaceDrops: lost.length === 0 ? null : lost.reduce((sum, drops) => sum + drops, 0),
    truncated: results.some(({ truncated }) => truncated),
    error: null,
  }
}
