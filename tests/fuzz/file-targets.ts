import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseBatchMetadata } from '../../collector/batch-metadata.ts'
import { BatchReader } from '../../collector/batch-reader.ts'
import { BatchWriter, type WrittenBatch } from '../../collector/batch-writer.ts'
import { Collector, type CollectorOptions } from '../../collector/collector.ts'
import { rewriteBatch } from '../../collector/rewrite-batch.ts'
import type { Random } from '../../fixtures/simulator/random.ts'
import { type Prefix, parseTelescope } from '../../schemas/address.ts'
import type { BatchMetadata, CaptureSummary } from '../../schemas/batch.ts'
import { DROP_REASON_NAMES } from '../../schemas/drop-reason.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { markTelescope } from '../../schemas/telescope-mark.ts'
import { SENSOR, TELESCOPE_EPOCH, TELESCOPES } from './corpus.ts'
import { checkError, DECODE_OPTIONS_ALL, fail, inputRandom } from './reading.ts'
import type { Outcome, Target } from './targets.ts'

/** The targets that write files, and what comes in as files of ours: batches. */

/** Of the collectors' buffers: small, so that a case is quick. */
const CHUNK_BYTES = 16 * 1024
const KEY = new Uint8Array(32).fill(7)
/** Whatever the hub may answer to a batch. */
const BATCH_CODES: ReadonlySet<string> = new Set([
  'BATCH_INVALID',
  'BATCH_VERSION_UNSUPPORTED',
  'BATCH_SENSOR_MISMATCH',
  'BATCH_TELESCOPE_MISMATCH',
  'COMPRESSION_INVALID',
])

function drawOptions(random: Random): Partial<CollectorOptions> & Pick<CollectorOptions, 'telescope'> {
  const declared = random.below(4) === 0 ? { from: 1_763_800_000_000_000, to: 1_763_900_000_000_000 } : null
  return {
    telescope: parseTelescope(TELESCOPES[random.below(TELESCOPES.length)]!),
    declared,
    ...(random.below(2) === 0 ? {} : { packetsMax: 1 + random.below(8) }),
    decodeOptions: random.below(3) === 0 ? random.below(DECODE_OPTIONS_ALL + 1) : 0,
    ...(random.below(2) === 0 ? {} : { batchSeconds: 1 + random.below(7200) }),
  }
}

async function collect(path: string, out: string, options: Partial<CollectorOptions>) {
  const telescope = parseTelescope(TELESCOPES[0]!)
  const collector = new Collector({
    sensor: SENSOR,
    telescope,
    telescopeEpoch: TELESCOPE_EPOCH,
    key: KEY,
    out,
    ...options,
  })
  const { summary, result } = await collector.read(path, { chunkBytes: CHUNK_BYTES })
  await collector.finish()
  return { summary, contentBytes: result.contentBytes, batches: collector.batches }
}

function checkSummary(summary: CaptureSummary, contentBytes: number): void {
  const dropped = Object.values(summary.drops).reduce((sum, count) => sum + count, 0)
  if (summary.packets_read !== summary.packets_kept + dropped) {
    fail(`${summary.packets_read} packets read, ${summary.packets_kept} kept, ${dropped} dropped`)
  }
  if (summary.error !== null) checkError(summary.error, contentBytes)
}

/**
 * The collector from a file to its batches: the same with and without the shortcut, no packet lost, and the hub takes
 * each batch as it is.
 * @param root existing folder, on a file system without a disk where there is one
 */
export function collectTarget(root: string): Target {
  return {
    name: 'collect',
    input: 'capture',
    share: 1,
    async check(bytes) {
      const folder = mkdtempSync(join(root, 'collect-'))
      try {
        const path = join(folder, 'capture')
        writeFileSync(path, bytes)
        const options = drawOptions(inputRandom(bytes))
        const general = await collect(path, folder, { ...options, shortcut: false })
        const quick = await collect(path, folder, options)
        checkSummary(general.summary, general.contentBytes)
        const [one, other] = [general, quick].map(({ summary, batches }) =>
          JSON.stringify([summary, batches.map(({ sha256 }) => sha256)]),
        )
        if (one !== other) fail(`the shortcut changes ${one} to ${other}`)
        const kept = general.batches.reduce((sum, { metadata }) => sum + metadata.packets_kept, 0)
        if (kept !== general.summary.packets_kept)
          fail(`${general.summary.packets_kept} packets kept, ${kept} in batches`)
        for (const { path: batch, sha256 } of general.batches.slice(0, 1))
          if (rewrite(batch, folder, options.telescope).sha256 !== sha256) fail('the hub would change a batch')
        return outcomeOfSummary(general.summary)
      } finally {
        rmSync(folder, { recursive: true })
      }
    },
  }
}

function outcomeOfSummary({ error, packets_read, drops }: CaptureSummary): Outcome {
  return { code: error?.code ?? null, packets: packets_read, drops: DROP_REASON_NAMES.map(name => drops[name] ?? 0) }
}

function rewrite(
  input: string,
  out: string,
  telescope: readonly Prefix[] = parseTelescope(TELESCOPES[0]!),
): WrittenBatch {
  const open = (metadata: BatchMetadata) => new BatchWriter(out, metadata)
  return rewriteBatch({
    input,
    open,
    sensor: SENSOR,
    telescope_epoch: TELESCOPE_EPOCH,
    telescope: markTelescope(telescope),
  }).batch
}

/** Lets only what the hub may answer to a batch pass. */
function batchOutcome(read: () => void): Outcome {
  try {
    read()
    return { code: null, packets: 0, drops: [] }
  } catch (error) {
    if (!(error instanceof TelescopeError) || !BATCH_CODES.has(error.code)) throw error
    checkError({ code: error.code, message: error.message, offset: null }, 0)
    return { code: error.code, packets: 0, drops: [] }
  }
}

/** Batches as the hub reads them, in memory. */
export const BATCH_TARGET: Target = {
  name: 'batch',
  input: 'batch',
  share: 8,
  async check(bytes) {
    return batchOutcome(() => {
      const reader = new BatchReader(bytes)
      const metadata = parseBatchMetadata(reader.metadata)
      let rows = 0
      for (let read = reader.next(); read !== null; read = reader.next()) {
        for (const column of read.columns) {
          const isOfInput = column.buffer === bytes.buffer
          if (isOfInput && column.byteOffset + column.length > bytes.byteOffset + bytes.length)
            fail('a column beyond the batch')
        }
        rows += read.rowCount
      }
      if (!Number.isSafeInteger(rows) || !(metadata.flows >= 0)) fail(`${rows} rows, ${metadata.flows} flows`)
    })
  },
}

/** Batches as the hub takes them in: what it writes anew, it would take again without a change. */
export function rewriteTarget(root: string): Target {
  return {
    name: 'rewrite',
    input: 'upload',
    share: 1,
    async check(bytes) {
      const folder = mkdtempSync(join(root, 'rewrite-'))
      try {
        const input = join(folder, 'batch')
        writeFileSync(input, bytes)
        const outcome = batchOutcome(() => {
          const { path, sha256 } = rewrite(input, folder)
          if (rewrite(path, folder).sha256 !== sha256) fail('a batch that was written anew is written otherwise again')
        })
        const left = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
          name => !/^(batch|tmp)$/.test(name),
        )
        if (left.length !== (outcome.code === null ? 1 : 0)) fail(`files are left: ${left.join(', ')}`)
        return outcome
      } finally {
        rmSync(folder, { recursive: true })
      }
    },
  }
}
