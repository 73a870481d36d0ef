import type { FastifyRequest } from 'fastify'
import type { NewUpload } from '../../analytics/storage.ts'
import { parseSequence } from '../../schemas/upload-sequence.ts'

/** What a sensor says of an upload besides its bytes. */
export type UploadHeaders = Required<Pick<NewUpload, 'sequence' | 'clock_skew_seconds'>>

/**
 * Reads `Hirundo-Sequence`, `Hirundo-Gone` and `Date` of a request that begins an upload; call it when the request
 * arrives, because the sensor's clock is compared with ours now. All are optional.
 * @throws QUERY_INVALID for the first two; a date that cannot be read is no date
 */
export function readUploadHeaders({ headers }: Pick<FastifyRequest, 'headers'>): UploadHeaders {
  const date = Date.parse(headers.date ?? '')
  return {
    sequence: parseSequence(single(headers['hirundo-sequence']), single(headers['hirundo-gone'])),
    clock_skew_seconds: Number.isNaN(date) ? null : Math.round((date - Date.now()) / 1000),
  }
}

/** Lines of one header are one list (RFC 9110, section 5.3). */
function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value
}
