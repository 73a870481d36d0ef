import { expect, it } from 'vitest'
import { BUILD } from './broken-build.ts'
import type { FaultReport, FaultTest } from './fault-test.ts'
import { flippedBits } from './flipped-bits.ts'
import { restoreDrill } from './restore-drill.ts'
import { slowConnections } from './slow-connections.ts'
import { stopUnderLoad } from './stop-under-load.ts'

// The short forms of O1, O2, H5 and R8.

const SEED = 20_261_126
const TIMEOUT = { timeout: 240_000 }
const run = (test: FaultTest): Promise<FaultReport> => test({ seed: SEED, short: true, build: BUILD, print: () => {} })

it('O1: SIGTERM under load loses nothing', TIMEOUT, async () => {
  expect((await run(stopUnderLoad)).violations).toEqual([])
})

it('O2: a wiped hub is restored and answers as before', TIMEOUT, async () => {
  expect((await run(restoreDrill)).violations).toEqual([])
})

it('H5: slow connections take nothing from others', TIMEOUT, async () => {
  const { violations, figures } = await run(slowConnections)
  expect(violations).toEqual([])
  expect(figures).toMatchObject({ connections: 200 })
})

it('R8: every flipped bit is found', TIMEOUT, async () => {
  const { violations, figures } = await run(flippedBits)
  expect(violations).toEqual([])
  expect(figures).toMatchObject({ 'bits flipped': 10, found: 10 })
})
