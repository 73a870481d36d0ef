import { parseMicroseconds } from '../../analytics/rows.ts'
import type { ParsedUpload } from '../../analytics/storage.ts'
import type { CaptureSummary } from '../../schemas/batch.ts'
import type { Receipt } from '../../schemas/catalog.ts'
import type { ParseAnswer } from '../../schemas/parse-job.ts'

type ParsedAnswer = Extract<ParseAnswer, { ok: true }>

/**
 * What the child made of an upload, as the storage takes it. The batches say what is in the numbers; a capture says
 * besides what was damaged.
 * @param input the file as the child knows it; its path must not reach a receipt
 */
export function parsedUpload(
  receipt: Pick<Receipt, 'sensor' | 'sha256'>,
  { content_sha256, batches, capture }: ParsedAnswer,
  input: string,
): ParsedUpload {
  const metadata = batches.map(batch => batch.metadata)
  const drops: Record<string, number> = {}
  for (const batch of metadata) {
    for (const [reason, count] of Object.entries(batch.drops)) drops[reason] = (drops[reason] ?? 0) + count
  }
  const packetsRead = capture?.packets_read ?? sum(metadata.map(batch => batch.packets_read))
  return {
    sensor: receipt.sensor,
    sha256: receipt.sha256,
    content_sha256,
    duplicate_of: null,
    batches,
    packets_read: packetsRead,
    packets_kept: capture?.packets_kept ?? sum(metadata.map(batch => batch.packets_kept)),
    drops: capture?.drops ?? drops,
    first_packet: capture
      ? microseconds(capture.first_packet)
      : extreme(
          Math.min,
          metadata.map(batch => batch.first_packet),
        ),
    last_packet: capture
      ? microseconds(capture.last_packet)
      : extreme(
          Math.max,
          metadata.map(batch => batch.last_packet),
        ),
    error: capture === null ? null : captureError(capture, receipt.sha256, input),
  }
}

function captureError({ error }: CaptureSummary, sha256: string, input: string): ParsedUpload['error'] {
  return error === null ? null : { code: error.code, message: error.message.replaceAll(input, sha256) }
}

function microseconds(text: string | null): number | null {
  return text === null ? null : parseMicroseconds(text)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

function extreme(pick: (...values: number[]) => number, values: readonly (number | null)[]): number | null {
  const known = values.filter(value => value !== null)
  return known.length === 0 ? null : pick(...known)
}
