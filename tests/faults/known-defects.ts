import { type Change, DEFECTS, withBrokenBuild } from './broken-build.ts'
import type { FaultOptions, FaultReport, FaultTest } from './fault-test.ts'
import { fullDisk } from './full-disk.ts'
import { killAtAnswers, killBetweenDuplicates } from './kill-at-random.ts'
import { killWhileParsing } from './kill-while-parsing.ts'
import { parseChildFaults, SHORT_LIMITS } from './parse-child-faults.ts'
import { receiptOrder } from './receipt-order.ts'
import { resumableProxy } from './resumable-proxy.ts'
import { senderOrder } from './sender-order.ts'
import { sequenceGaps } from './sequence-gaps.ts'
import { slowConnections } from './slow-connections.ts'
import { stopUnderLoad } from './stop-under-load.ts'
import { failingSyncOfFolder } from './system-call-sweep.ts'

interface KnownDefect {
  readonly changes: readonly Change[]
  readonly test: FaultTest
  /** What the test says of it. */
  readonly violation: RegExp
  /** Takes its time to be found: left to `npm run faults defects`. */
  readonly isSlow?: true
  /** Only its long form finds it. */
  readonly long?: true
}

/** Each defect with the test that must find it. */
export const KNOWN_DEFECTS = {
  noFolderSync: { changes: DEFECTS.noFolderSync, test: receiptOrder, violation: /no fsync of the folder/ },
  acknowledgeBeforeCommit: {
    changes: DEFECTS.acknowledgeBeforeCommit,
    test: killAtAnswers,
    violation: /was acknowledged and has 0 receipts/,
  },
  noDedupe: { changes: DEFECTS.noDedupe, test: killBetweenDuplicates, violation: /is held|packets are in the answers/ },
  syncErrorSwallowed: {
    changes: DEFECTS.syncErrorSwallowed,
    test: failingSyncOfFolder,
    violation: /a receipt was given after f/,
  },
  noUploadQuota: {
    changes: DEFECTS.noUploadQuota,
    test: slowConnections,
    violation: /beyond the quota were refused/,
    isSlow: true,
  },
  noLimitForHeaders: {
    changes: DEFECTS.noLimitForHeaders,
    test: slowConnections,
    violation: /slow headers were cut/,
    long: true,
  },
  senderStartsAnew: {
    changes: DEFECTS.senderStartsAnew,
    test: options => resumableProxy({ ...options, rounds: 25 }),
    violation: /bytes sent again after one cut/,
  },
  gapsNotReported: {
    changes: DEFECTS.gapsNotReported,
    test: options => sequenceGaps({ ...options, rounds: 1 }),
    violation: /the gaps that were made are told as/,
  },
  batchBeforeReceipt: {
    changes: DEFECTS.batchBeforeReceipt,
    test: senderOrder,
    violation: /no receipt before the batch is removed/,
    isSlow: true,
  },
  stopDropsReceived: {
    changes: DEFECTS.stopDropsReceived,
    test: stopUnderLoad,
    violation: /is quarantined: .* is gone from the inbox/,
    isSlow: true,
  },
  noWatchdog: {
    changes: [...DEFECTS.noWatchdog, ...SHORT_LIMITS],
    test: parseChildFaults,
    violation: /stopped.*not quarantined/,
    isSlow: true,
  },
  triesForgotten: {
    changes: DEFECTS.triesForgotten,
    test: killWhileParsing,
    violation: /no child got the upload, or nobody wrote it down/,
    isSlow: true,
  },
  noReserve: {
    changes: DEFECTS.noReserve,
    test: fullDisk,
    violation: /bytes were left free|not with 507|the hub ended/,
  },
} as const satisfies Record<string, KnownDefect>

/** Those that the test run has time for. */
export const QUICK_DEFECTS = (Object.keys(KNOWN_DEFECTS) as (keyof typeof KNOWN_DEFECTS)[]).filter(name =>
  isQuick(KNOWN_DEFECTS[name]),
)

function isQuick({ isSlow, long }: KnownDefect): boolean {
  return !isSlow && !long
}

function isLong({ long }: KnownDefect): boolean {
  return long === true
}

/** @returns what the test says of a build with the defect; empty when it finds nothing */
export async function violationsOf(
  defect: KnownDefect,
  options: Omit<FaultOptions, 'build'>,
): Promise<readonly string[]> {
  return await withBrokenBuild(defect.changes, async build => (await defect.test({ ...options, build })).violations)
}

/** `npm run faults defects`: every test of it finds its defect. */
export async function knownDefects({ seed, print }: FaultOptions): Promise<FaultReport> {
  const violations: string[] = []
  for (const [name, defect] of Object.entries(KNOWN_DEFECTS)) {
    const found = await violationsOf(defect, { seed, short: !isLong(defect), print })
    print(`${name}: ${found[0] ?? 'nothing found'}`)
    if (!found.some(violation => defect.violation.test(violation))) violations.push(`${name} was not found`)
  }
  return { violations, figures: { defects: Object.keys(KNOWN_DEFECTS).length } }
}
