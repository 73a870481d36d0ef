import { type BatchMetadata, DAYS_PER_UPLOAD_MAX } from '../schemas/batch.ts'
import { DAY_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import { tooManyDays } from '../schemas/upload-days.ts'
import { FlowFileWriter } from './flow-file-writer.ts'

/**
 * Opens the batches of a capture in the form that the hub counts. A capture whose clock has run wild has a batch for each
 * of its days: it ends here when they are too many to be counted, and not after a file has been written for each.
 * @param uploadId number of the upload in the lake
 * @returns what opens the next batch; throws UPLOAD_DAYS_TOO_MANY
 */
export function parsedBatches(out: string, uploadId: number): (metadata: BatchMetadata) => FlowFileWriter {
  const days = new Set<number>()
  let [first, last] = [Number.POSITIVE_INFINITY, 0]
  return metadata => {
    for (const time of [metadata.first_packet, metadata.last_packet]) {
      if (time === null) continue
      const seconds = time / MICROSECONDS
      days.add(Math.floor(seconds / DAY_SECONDS))
      first = Math.min(first, seconds)
      last = Math.max(last, seconds)
    }
    if (days.size > DAYS_PER_UPLOAD_MAX) throw tooManyDays('capture', `more than ${DAYS_PER_UPLOAD_MAX}`, [first, last])
    return new FlowFileWriter(out, metadata, uploadId)
  }
}
