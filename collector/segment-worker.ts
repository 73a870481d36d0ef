import { parentPort, workerData } from 'node:worker_threads'
import { TelescopeError } from '../schemas/errors.ts'
import { collectorFor } from './batch-form.ts'
import type { CollectorOptions } from './collector.ts'
import type { BatchForm, Segment, SegmentAnswer } from './segment.ts'

/**
 * A thread that counts segments, one after the other, and writes their batches; started by SegmentPool. An empty message
 * is the last: it is answered when all batches are durable.
 */
const port = parentPort!
const { options, form } = workerData as { options: CollectorOptions; form: BatchForm }
const { collector, parsed } = collectorFor(options, form)
let work: Promise<void> = Promise.resolve()

port.on('message', (segment: Segment | null) => {
  work = work.then(async () => answer(await attempt(segment)))
})

async function attempt(segment: Segment | null): Promise<SegmentAnswer> {
  try {
    if (segment !== null) return { counted: await collector.count(segment) }
    await collector.settle()
    return { written: { flows: collector.flows, parsed: parsed() } }
  } catch (error) {
    if (!(error instanceof TelescopeError)) throw error
    const { code, message, details } = error
    return { error: { code, message, details } }
  }
}

function answer(message: SegmentAnswer): void {
  port.postMessage(message)
  if (!('counted' in message)) port.close()
}
