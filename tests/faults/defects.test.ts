import { expect, it } from 'vitest'
import { hasCommand, requireExternal } from '../support/external.ts'
import { KNOWN_DEFECTS, QUICK_DEFECTS, violationsOf } from './known-defects.ts'

// Builds with a defect that the fault tests must find: a harness that cannot fail shows nothing.

const hasStrace = requireExternal('strace', hasCommand('strace'))
const isRoot = requireExternal('root', process.getuid?.() === 0)
const NEEDS: Partial<Record<keyof typeof KNOWN_DEFECTS, boolean>> = {
  noFolderSync: hasStrace,
  syncErrorSwallowed: hasStrace,
  noReserve: isRoot,
  batchBeforeReceipt: hasStrace,
}
const SEED = 20_261_126

for (const name of QUICK_DEFECTS) {
  it.runIf(NEEDS[name] ?? true)(`a build with the defect ${name} is found`, { timeout: 240_000 }, async () => {
    const defect = KNOWN_DEFECTS[name]
    const found = await violationsOf(defect, { seed: SEED, short: true, print: () => {} })
    expect(found).toContainEqual(expect.stringMatching(defect.violation))
  })
}
