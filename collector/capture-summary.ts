import type { CaptureSummary, CaptureWarning } from '../schemas/batch.ts'
import type { CaptureResult } from './capture-result.ts'
import type { PacketCounters } from './counters.ts'

/** What was counted of a capture. */
export interface CapturePart {
  readonly counted: PacketCounters
  /** Unix microseconds of the earliest and latest packet; infinity and its negative without one. */
  readonly first: number
  readonly last: number
}

export function captureSummary(
  { path, format, truncated, error }: Pick<CaptureResult, 'path' | 'format' | 'truncated' | 'error'>,
  { counted, first, last }: CapturePart,
  warnings: readonly CaptureWarning[] = [],
): CaptureSummary {
  return {
    path,
    format,
    packets_read: counted.read,
    packets_kept: counted.kept,
    drops: counted.dropsByName(),
    first_packet: formatMicroseconds(first),
    last_packet: formatMicroseconds(last),
    truncated,
    ...(warnings.length > 0 ? { warnings } : {}),
    error,
  }
}

/** A capture full of packets for others is a wrong `--telescope` or a wrong file: nobody should have to guess. */
export function offTelescope(read: number, kept: number, foreign: number): CaptureSummary['error'] {
  if (kept > 0 || foreign === 0) return null
  const message = `capture: none of its ${read} packets is for an address of this telescope; check the telescope's prefixes and the file`
  return { code: 'CAPTURE_OFF_TELESCOPE', message, offset: null }
}

/** ISO 8601 with microseconds; null for the infinities that mean "no packet". */
function formatMicroseconds(microseconds: number): string | null {
  if (!Number.isFinite(microseconds)) return null
  const milliseconds = Math.floor(microseconds / 1000)
  const rest = String(microseconds - milliseconds * 1000).padStart(3, '0')
  return new Date(milliseconds).toISOString().replace('Z', `${rest}Z`)
}
