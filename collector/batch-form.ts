import type { ParsedBatch } from '../schemas/parse-job.ts'
import { Collector, type CollectorOptions } from './collector.ts'
import { parsedBatches } from './parsed-batches.ts'
import type { BatchForm } from './segment.ts'

/** A collector whose batches are written in a form, and those of them that are in the hub's. */
export function collectorFor(
  options: CollectorOptions,
  form: BatchForm,
): {
  collector: Pick<Collector, 'count' | 'settle' | 'writeEmptyBatches' | 'flows'>
  parsed: () => readonly ParsedBatch[]
} {
  if (form === 'batch') return { collector: new Collector(options), parsed: () => [] }
  const openBatch: CollectorOptions<ParsedBatch>['openBatch'] = parsedBatches(options.out, form.uploadId)
  const collector = new Collector<ParsedBatch>({ ...options, openBatch })
  return { collector, parsed: () => collector.batches }
}
