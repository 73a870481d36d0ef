import { Worker } from 'node:worker_threads'
import { TelescopeError } from '../schemas/errors.ts'
import type { CollectorOptions } from './collector.ts'
import type { BatchForm, CountedSegment, Segment, SegmentAnswer, WrittenSegments } from './segment.ts'
import { removeOwn } from './unfinished-batches.ts'

/** Segments that a thread has been given: one that it counts, and one so that it need not wait for the next. */
const AHEAD = 2

/** Threads that count the segments of a run between them. */
export class SegmentPool {
  readonly #options: CollectorOptions
  readonly #form: BatchForm
  readonly #threads: number

  constructor(options: CollectorOptions, form: BatchForm, threads: number) {
    this.#options = options
    this.#form = form
    this.#threads = threads
  }

  /**
   * Counts all segments; they may end in any order.
   * @param onCounted told of each, with its place in the order of the run
   * @returns what is in all batches, which are durable then when they are files to send
   * @throws what a thread met: OUTPUT_UNWRITABLE, DISK_FULL
   */
  async run(
    segments: Iterator<Segment>,
    onCounted: (place: number, counted: CountedSegment) => void,
  ): Promise<WrittenSegments> {
    let places = 0
    const next = (): { segment: Segment; place: number } | null => {
      const { value, done } = segments.next()
      return done === true ? null : { segment: value, place: places++ }
    }
    const threads = Array.from({ length: this.#threads }, () => new SegmentThread(this.#options, this.#form))
    try {
      const written = await Promise.all(threads.map(thread => thread.run(next, onCounted)))
      return {
        flows: written.reduce((sum, { flows }) => sum + flows, 0),
        parsed: written.flatMap(({ parsed }) => parsed),
      }
    } catch (error) {
      await Promise.all(threads.map(thread => thread.stop()))
      // The others were in the midst of their batches.
      removeOwn(this.#options.out)
      throw error
    } finally {
      for (const thread of threads) void thread.stop()
    }
  }
}

class SegmentThread {
  readonly #worker: Worker
  /** Places of the segments that it was given and has not answered. */
  readonly #given: number[] = []

  constructor(options: CollectorOptions, form: BatchForm) {
    this.#worker = new Worker(new URL('./segment-worker.js', import.meta.url), { workerData: { options, form } })
  }

  run(
    next: () => { segment: Segment; place: number } | null,
    onCounted: (place: number, counted: CountedSegment) => void,
  ): Promise<WrittenSegments> {
    let isAsked = true
    const give = (): void => {
      while (isAsked && this.#given.length < AHEAD) {
        const found = next()
        if (found) this.#given.push(found.place)
        else isAsked = false
        this.#worker.postMessage(found?.segment ?? null)
      }
    }
    return new Promise((resolve, reject) => {
      this.#worker.on('error', reject)
      this.#worker.on('message', (answer: SegmentAnswer) => {
        if ('written' in answer) resolve(answer.written)
        else if ('error' in answer) {
          reject(new TelescopeError(answer.error.code, answer.error.message, answer.error.details))
        } else {
          onCounted(this.#given.shift()!, answer.counted)
          give()
        }
      })
      give()
    })
  }

  async stop(): Promise<void> {
    await this.#worker.terminate()
  }
}
