import { expect, it } from 'vitest'
import { requireExternal } from '../support/external.ts'
import { BUILD } from './broken-build.ts'
import { fullDisk } from './full-disk.ts'

// The short form of R7.

const isRoot = requireExternal('root', process.getuid?.() === 0)
const run = (build: string) => fullDisk({ seed: 1, short: true, build, print: () => {} })

it.runIf(isRoot)(
  'R7: a full disk is refused before it is full, and recovers by itself',
  { timeout: 240_000 },
  async () => {
    const { violations, figures } = await run(BUILD)
    expect(violations).toEqual([])
    expect(figures['uploads until 507']).toBeGreaterThan(3)
  },
)
