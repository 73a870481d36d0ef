import type { FastifyBaseLogger } from 'fastify'
import type { HubMetrics } from './hub-metrics.ts'
import type { UploadEvents } from './observed-storage.ts'

/** Enough of a digest for people to find the upload again. */
const DIGEST_SHOWN = 12

/** Tells an operator in words, and Prometheus in numbers, what becomes of uploads. */
export function tellUploads(metrics: HubMetrics, log: () => FastifyBaseLogger): UploadEvents {
  return {
    received({ sensor, sha256, kind, byte_count }) {
      metrics.count('hirundo_uploads_received_total', { kind })
      metrics.count('hirundo_upload_bytes_total', { kind }, byte_count)
      log().info(
        { event: 'received', sensor, sha256, kind, bytes: byte_count },
        `received ${kind} of ${sensor}: ${byte_count} bytes (${shown(sha256)})`,
      )
    },
    counted(uploads, seconds) {
      metrics.groupCounted(seconds)
      for (const { sensor, sha256, batches, duplicate_of, packets_kept, packets_read } of uploads) {
        metrics.count('hirundo_uploads_counted_total', { outcome: duplicate_of === null ? 'added' : 'duplicate' })
        if (duplicate_of === null) metrics.count('hirundo_packets_counted_total', {}, packets_kept)
        log().info(
          { event: 'counted', sensor, sha256, batches: batches.length, packets_read, packets_kept, duplicate_of },
          duplicate_of === null
            ? `counted ${sensor}: ${packets_kept} of ${packets_read} packets (${shown(sha256)})`
            : `counted ${sensor}: nothing new, the content is that of ${shown(duplicate_of)} (${shown(sha256)})`,
        )
      }
    },
    quarantined(sensor, sha256, { code, message }) {
      metrics.count('hirundo_uploads_quarantined_total', { code })
      log().warn(
        { event: 'quarantined', sensor, sha256, code },
        `set aside upload of ${sensor} (${shown(sha256)}): ${message} [${code}]`,
      )
    },
  }
}

function shown(sha256: string): string {
  return sha256.slice(0, DIGEST_SHOWN)
}
