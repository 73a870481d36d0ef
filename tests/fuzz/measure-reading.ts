import { createHash } from 'node:crypto'
import { Collector } from '../../collector/collector.ts'
import { rewriteBatch } from '../../collector/rewrite-batch.ts'
import { parseTelescope } from '../../schemas/address.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { SENSOR, TELESCOPE_EPOCH, TELESCOPES } from './corpus.ts'

/** A process of its own that takes one input in as the hub's child does, and says what that cost. */

export interface ReadingJob {
  readonly kind: 'capture' | 'batch'
  readonly path: string
  /** A small capture: what the program itself needs is there before anything is measured. */
  readonly warmUp: string
  /** Existing folder. */
  readonly out: string
}

export interface MeasuredReading {
  readonly code: string | null
  readonly message: string
  readonly packets: number
  /** Processor time. */
  readonly seconds: number
  /** How much larger resident memory ever was than before. */
  readonly growthBytes: number
}

async function readCaptureAsHub(path: string, out: string) {
  const telescope = parseTelescope(TELESCOPES[0]!)
  const key = new Uint8Array(32).fill(7)
  const collector = new Collector({ sensor: SENSOR, telescope, telescopeEpoch: TELESCOPE_EPOCH, key, out })
  const content = createHash('sha256')
  const { summary } = await collector.read(path, { onBytes: chunk => content.update(chunk) })
  await collector.finish()
  const { code = null, message = '' } = summary.error ?? {}
  return { code, message, packets: summary.packets_read }
}

function readBatchAsHub(input: string, out: string) {
  try {
    rewriteBatch({ input, out, sensor: SENSOR, telescope_epoch: TELESCOPE_EPOCH })
    return { code: null, message: '', packets: 0 }
  } catch (error) {
    if (!(error instanceof TelescopeError)) throw error
    return { code: error.code, message: error.message, packets: 0 }
  }
}

const job = JSON.parse(process.argv[2]!) as ReadingJob
await readCaptureAsHub(job.warmUp, job.out)
const before = process.memoryUsage.rss()
const cpuBefore = process.cpuUsage()
const read = job.kind === 'capture' ? await readCaptureAsHub(job.path, job.out) : readBatchAsHub(job.path, job.out)
const { user, system } = process.cpuUsage(cpuBefore)
const growthBytes = process.resourceUsage().maxRSS * 1024 - before
const measured: MeasuredReading = { ...read, seconds: (user + system) / 1e6, growthBytes }
process.send!(measured)
