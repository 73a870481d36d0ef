import { parentPort, workerData } from 'node:worker_threads'
import { TelescopeError } from '../schemas/errors.ts'
import { Collector, type CollectorOptions } from './collector.ts'
import type { Segment, SegmentAnswer } from './segment.ts'

/**
 * A thread that counts segments, one after the other, and writes their batches; started by SegmentPool. An empty message
 * is the last: it is answered when all batches are durable.
 */
const port = parentPort!
const collector = new Collector(workerData as CollectorOptions)
let work: Promise<void> = Promise.resolve()

port.on('message', (segment: Segment | null) => {
  work = work.then(async () => answer(await attempt(segment)))
})

async function attempt(segment: Segment | null): Promise<SegmentAnswer> {
  try {
    if (segment !== null) return { counted: await collector.count(segment) }
    await collector.settle()
    return { flows: collector.flows }
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
