import { expect, it } from 'vitest'
import { run } from './sequence-gaps.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)

it(`a sender that is killed leaves no gap, and a dropped number is one (R11, short; seed ${seed})`, {
  timeout: 240_000,
}, async () => {
  const figures = await run({ rounds: 10, seed, log: () => {} })
  expect(figures).toMatchObject({ kills: 10, falseGaps: 0, gaps: ['0-0 unknown', '1-1 removed'] })
})
