import { createHash } from 'node:crypto'
import { closeSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { parseTelescope } from '../schemas/address.ts'
import type { BatchMetadata } from '../schemas/batch.ts'
import { TelescopeError } from '../schemas/errors.ts'
import type { ParseAnswer, ParseJob } from '../schemas/parse-job.ts'
import { collectInParallel, plannable } from './collect-in-parallel.ts'
import { Collector, type CollectorOptions } from './collector.ts'
import { FlowFileWriter } from './flow-file-writer.ts'
import { parseKey } from './key-file.ts'
import { parsedBatches } from './parsed-batches.ts'
import type { PlannedCapture } from './plan-segments.ts'
import { rewriteBatch } from './rewrite-batch.ts'

/**
 * The process that the hub forks to open what came from outside. It lives on, takes one job at a time in the order
 * they come, and answers each; only its own death leaves one without an answer. It ends when the hub does.
 */

/** More than this gain nothing while the hub counts beside it. */
const THREADS = Math.min(availableParallelism(), 4)

type ParsedJob = Omit<Extract<ParseAnswer, { ok: true }>, 'id' | 'ok'>

async function parseCapture(job: Extract<ParseJob, { kind: 'capture' }>): Promise<ParsedJob> {
  const options = {
    sensor: job.sensor,
    telescope: parseTelescope(job.telescope),
    telescopeEpoch: job.telescope_epoch,
    key: parseKey(job.key, 'key of the sensor'),
    out: job.out,
  }
  const planned = plannable([job.input], THREADS)
  if (planned !== null) return await parseInParallel(job, options, planned)
  const content = createHash('sha256')
  const collector = new Collector({ ...options, openBatch: parsedBatches(job.out, job.upload_id) })
  const { summary } = await collector.read(job.input, { onBytes: chunk => content.update(chunk) })
  await collector.finish()
  // The path of the upload at the hub is nobody's business.
  return { content_sha256: content.digest('hex'), batches: collector.batches, capture: { ...summary, path: '' } }
}

/** A plain capture, large enough: its content is what was sent. */
async function parseInParallel(
  { sha256, upload_id }: Extract<ParseJob, { kind: 'capture' }>,
  options: CollectorOptions,
  captures: readonly PlannedCapture[],
): Promise<ParsedJob> {
  try {
    const { summaries, parsed } = await collectInParallel(options, captures, THREADS, () => {}, { uploadId: upload_id })
    return { content_sha256: sha256, batches: parsed, capture: { ...summaries[0]!, path: '' } }
  } finally {
    for (const { descriptor } of captures) closeSync(descriptor)
  }
}

async function parseBatch(job: Extract<ParseJob, { kind: 'batch' }>): Promise<ParsedJob> {
  const open = (metadata: BatchMetadata) => new FlowFileWriter(job.out, metadata, job.upload_id)
  const { content_sha256, batch } = rewriteBatch({ ...job, open })
  return { content_sha256, batches: [batch], capture: null }
}

async function answer(job: ParseJob): Promise<ParseAnswer> {
  try {
    const parsed = job.kind === 'capture' ? await parseCapture(job) : await parseBatch(job)
    return { id: job.id, ok: true, ...parsed }
  } catch (error) {
    return { id: job.id, ok: false, error: errorOf(error) }
  }
}

function errorOf(error: unknown): Extract<ParseAnswer, { ok: false }>['error'] {
  if (error instanceof TelescopeError) return { code: error.code, message: error.message, details: error.details }
  const message = error instanceof Error ? error.message : String(error)
  return { code: 'INTERNAL', message: `parsing: a defect in Hirundo: ${message}`, details: {} }
}

let previous = Promise.resolve()
process.on('message', message => {
  previous = previous.then(async () => {
    const reply = await answer(message as ParseJob)
    // The hub is gone when the channel is closed; then nobody waits.
    if (process.connected) process.send!(reply, undefined, undefined, () => {})
  })
})
process.on('disconnect', () => process.exit())
