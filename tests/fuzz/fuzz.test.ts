import { existsSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { DROP_REASON_NAMES, type DropReason } from '../../schemas/drop-reason.ts'
import type { ErrorCode } from '../../schemas/errors.ts'
import { ROOT } from '../support/external.ts'
import { BROKEN_NAMES } from './broken-targets.ts'
import { RESIDENT_BYTES_MAX, runSeed, type ShardReport } from './run-shard.ts'

// Goal: nothing that can come from outside makes the collector throw, hang, grow, read past what is there, lose a
// packet from its sums, or depend on how the bytes arrive. Method: a hundred thousand mutated inputs in a process that
// is watched from outside; `npm run fuzz` runs two million of another seed. A failure names the case: run it alone with
// `npm run fuzz -- --seed S --from N --cases 1`, which keeps its input in fixtures/damaged.

const WORKER = `${ROOT}dist/tests/fuzz/worker.js`
const SEED = 20261122
const CASES = 100_000
/** Enough for every trap of the broken targets to be met. */
const BROKEN_CASES = 3000

beforeAll(() => {
  if (!existsSync(WORKER)) throw new Error(`${WORKER} is not built; run: npm run build`)
})

function run(cases: number, target: string | null, deathsMax?: number): Promise<ShardReport> {
  const options = { root: ROOT, worker: WORKER, ...(deathsMax === undefined ? {} : { deathsMax }) }
  return runSeed({ seed: SEED, from: 0, to: cases, target }, options)
}

/** What every reading of a capture can come to. */
const CAPTURE_CODES: readonly (ErrorCode | 'good')[] = [
  'good',
  'CAPTURE_CONCATENATED',
  'CAPTURE_EMPTY',
  'CAPTURE_FORMAT_UNKNOWN',
  'CAPTURE_HEADER_INVALID',
  'CAPTURE_INTERFACE_UNKNOWN',
  'CAPTURE_RECORD_INVALID',
  'CAPTURE_TRUNCATED',
  'CAPTURE_VERSION_UNSUPPORTED',
  'COMPRESSION_INVALID',
  'LINK_TYPE_UNSUPPORTED',
]
/** What the cases of each target must come to; those that are slow get too few for what is seldom. */
const REACHED: Readonly<Record<string, readonly (ErrorCode | 'good')[]>> = {
  decode: ['good'],
  read: CAPTURE_CODES,
  split: CAPTURE_CODES,
  inspect: ['good', 'CAPTURE_RECORD_INVALID', 'CAPTURE_TRUNCATED'],
  collect: ['good', 'CAPTURE_OFF_TELESCOPE', 'CAPTURE_RECORD_INVALID', 'CAPTURE_TRUNCATED'],
  batch: ['good', 'BATCH_INVALID', 'BATCH_VERSION_UNSUPPORTED'],
  rewrite: ['good', 'BATCH_INVALID', 'COMPRESSION_INVALID'],
}

describe('mutated inputs', () => {
  let report: ShardReport
  beforeAll(async () => {
    report = await run(CASES, null)
    process.stdout.write(
      `fuzz: seed ${SEED}, corpus ${report.corpus}, ${report.cases} cases in ${report.seconds.toFixed(0)} s, ` +
        `${Math.round(report.residentBytesMax / 2 ** 20)} MiB\n`,
    )
  }, 600_000)

  it('are all taken as they must be', () => {
    const told = report.failures.map(({ number, target, what, made }) => `case ${number}, ${target}: ${what} (${made})`)
    expect(told).toEqual([])
    expect([report.cases, report.failing]).toEqual([CASES, 0])
    expect(report.residentBytesMax).toBeLessThan(RESIDENT_BYTES_MAX)
  })

  it('reach each way to be wrong, and are good often enough to be read', () => {
    const expected = Object.entries(REACHED).flatMap(([target, codes]) => codes.map(code => `${target} ${code}`))
    expect(expected.filter(name => !report.outcomes[name])).toEqual([])
    expect(report.outcomes['read good']!).toBeGreaterThan(CASES / 50)
  })

  it('have packets of every drop reason', () => {
    const seen = Object.keys(report.drops) as DropReason[]
    expect(DROP_REASON_NAMES.filter(name => !seen.includes(name))).toEqual([])
  })
})

describe('a target that is broken on purpose is found out', () => {
  const WHAT: Readonly<Record<string, RegExp>> = {
    'broken-throws': /^RangeError: byte/,
    'broken-loops': /^no end after 2 s$/,
    'broken-overreads': /what lies around the frame changes packet 1/,
    'broken-bounds': /out of bounds: dstPort 65536/,
    'broken-leaks': /MiB of memory$/,
    'broken-exits': /^the process ended with status 7$/,
    'broken-never-ends': /^the process ended with status 13$/,
    'broken-miscounts': /packets read, \d+ handed over/,
    'broken-code': /INTERNAL is not an error of the input/,
    'broken-splits': /^Error: pieces of .* change packet/,
  }

  it('and there is one for each thing that is watched', () => {
    expect(Object.keys(WHAT).sort()).toEqual([...BROKEN_NAMES].sort())
  })

  it.each(Object.entries(WHAT))(
    '%s',
    async (name, what) => {
      const { failures, failing } = await run(BROKEN_CASES, name, 1)
      expect(failing).toBeGreaterThan(0)
      expect(failures.map(failure => failure.what)).toContainEqual(expect.stringMatching(what))
    },
    120_000,
  )
})

it('the same seed gives the same cases', async () => {
  const [one, other] = [await run(500, null), await run(500, null)]
  expect([other.outcomes, other.drops, other.corpus]).toEqual([one.outcomes, one.drops, one.corpus])
}, 60_000)
