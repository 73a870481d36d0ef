import { expect, it } from 'vitest'
import { hasCommand, requireExternal } from '../support/external.ts'
import { BUILD } from './broken-build.ts'
import type { FaultReport, FaultTest } from './fault-test.ts'
import { killAtRandom } from './kill-at-random.ts'
import { receiptOrder } from './receipt-order.ts'
import { senderOrder } from './sender-order.ts'
import { crashAtSystemCalls, failingSystemCalls } from './system-call-sweep.ts'

// The short forms of R1 to R4 of `npm run faults`.

const hasStrace = requireExternal('strace', hasCommand('strace'))
const SEED = 20_261_126

const TIMEOUT = { timeout: 240_000 }

const run = (test: FaultTest): Promise<FaultReport> => test({ seed: SEED, short: true, build: BUILD, print: () => {} })

it('R1: kill -9 at random moments breaks no promise', TIMEOUT, async () => {
  expect((await run(killAtRandom)).violations).toEqual([])
})

it.runIf(hasStrace)('R4: each receipt is in the right order of system calls', TIMEOUT, async () => {
  const { violations, figures } = await run(receiptOrder)
  expect(violations).toEqual([])
  expect(figures['uploads']).toBe(40)
})

it.runIf(hasStrace)('each batch leaves the spool when its receipt is on disk', TIMEOUT, async () => {
  const { violations, figures } = await run(senderOrder)
  expect(violations).toEqual([])
  expect(figures['batches']).toBe(8)
})

it.runIf(hasStrace)('R2: a crash at each step of a receipt breaks no promise', TIMEOUT, async () => {
  const { violations, figures } = await run(crashAtSystemCalls)
  expect(violations).toEqual([])
  expect(figures['faults that fired']).toBe(5)
})

it.runIf(hasStrace)(
  'R3: no receipt rests on a step that failed, and a failed fsync ends the hub',
  TIMEOUT,
  async () => {
    const { violations, figures } = await run(failingSystemCalls)
    expect(violations).toEqual([])
    expect(figures['faults that fired']).toBe(7)
  },
)
