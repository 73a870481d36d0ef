import { expect, it } from 'vitest'
import { hasCommand, requireExternal } from '../support/external.ts'
import { BUILD, type Change, DEFECTS, withBrokenBuild } from './broken-build.ts'
import type { FaultReport, FaultTest } from './fault-test.ts'
import { killAtRandom } from './kill-at-random.ts'
import { receiptOrder } from './receipt-order.ts'
import { crashAtSystemCalls, failingSystemCalls } from './system-call-sweep.ts'

// The short forms of `npm run faults`, and builds with a defect that they must find.

const hasStrace = requireExternal('strace', hasCommand('strace'))
const SEED = 20_261_126

const run = (test: FaultTest, build = BUILD): Promise<FaultReport> =>
  test({ seed: SEED, short: true, build, print: () => {} })

async function findsDefect(test: FaultTest, changes: readonly Change[], violation: RegExp): Promise<void> {
  const { violations } = await withBrokenBuild(changes, build => run(test, build))
  expect(violations).toContainEqual(expect.stringMatching(violation))
}

it('R1: kill -9 at random moments breaks no promise', async () => {
  expect((await run(killAtRandom)).violations).toEqual([])
})

it.runIf(hasStrace)('R4: each receipt is in the right order of system calls', async () => {
  const { violations, figures } = await run(receiptOrder)
  expect(violations).toEqual([])
  expect(figures['uploads']).toBe(40)
})

it.runIf(hasStrace)('R4 finds a hub that does not sync the folder', async () => {
  await findsDefect(receiptOrder, DEFECTS.noFolderSync, /no fsync of the folder/)
})

it.runIf(hasStrace)('R2: a crash at each step of a receipt breaks no promise', async () => {
  const { violations, figures } = await run(crashAtSystemCalls)
  expect(violations).toEqual([])
  expect(figures['faults that fired']).toBe(3)
})

it.runIf(hasStrace)('R3: no receipt rests on a step that failed, and a failed fsync ends the hub', async () => {
  const { violations, figures } = await run(failingSystemCalls)
  expect(violations).toEqual([])
  expect(figures['faults that fired']).toBe(3)
})
