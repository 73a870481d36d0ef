import { existsSync } from 'node:fs'
import { expect, it } from 'vitest'
import { hasCommand, requireExternal } from '../support/external.ts'
import { BUILD } from './broken-build.ts'
import type { FaultReport, FaultTest } from './fault-test.ts'
import { killWhileParsing } from './kill-while-parsing.ts'
import { parseChildFaults } from './parse-child-faults.ts'

// H4 with the real child of a real hub.

const canSeeChildren = requireExternal('/proc with children', existsSync(`/proc/self/task/${process.pid}/children`))
const hasPrlimit = requireExternal('prlimit', hasCommand('prlimit'))
const TIMEOUT = { timeout: 240_000 }
const run = (test: FaultTest): Promise<FaultReport> => test({ seed: 1, short: true, build: BUILD, print: () => {} })

it.runIf(canSeeChildren && hasPrlimit)('H4: whatever the child dies of, one upload is set aside', TIMEOUT, async () => {
  const { violations, figures } = await run(parseChildFaults)
  expect(violations).toEqual([])
  expect(figures['children struck']).toBeGreaterThanOrEqual(6)
})

it.runIf(canSeeChildren)('H4: an upload that the hub dies of is given up, also across restarts', TIMEOUT, async () => {
  const { violations, figures } = await run(killWhileParsing)
  expect(violations).toEqual([])
  expect(figures).toMatchObject({ deaths: 3 })
})
