import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { BUILD } from './broken-build.ts'
import type { FaultTest } from './fault-test.ts'

/**
 * `npm run faults [NAME...]`: all fault tests in their long form, or the ones named. Each prints its figures; the exit
 * status tells whether every promise held.
 *
 *   --seed N    of what is drawn; default: a new one, which is printed
 *   --short     the form of the test run
 *   --rounds N  kills, uploads, connections or files, whichever the test counts
 *   --from N, --to N  of a sweep: the points from N up to but not N, to go through it in parts
 *   --build DIR another built program, for instance a broken one
 */
const TESTS: Readonly<Record<string, () => Promise<FaultTest>>> = {
  'kill-at-random': async () => (await import('./kill-at-random.ts')).killAtRandom,
  'crash-at-system-calls': async () => (await import('./system-call-sweep.ts')).crashAtSystemCalls,
  'failing-system-calls': async () => (await import('./system-call-sweep.ts')).failingSystemCalls,
  'parse-child-faults': async () => (await import('./parse-child-faults.ts')).parseChildFaults,
  'kill-while-parsing': async () => (await import('./kill-while-parsing.ts')).killWhileParsing,
  'full-disk': async () => (await import('./full-disk.ts')).fullDisk,
  'receipt-order': async () => (await import('./receipt-order.ts')).receiptOrder,
  'resumable-proxy': async () => (await import('./resumable-proxy.ts')).resumableProxy,
  'sender-order': async () => (await import('./sender-order.ts')).senderOrder,
  'sequence-gaps': async () => (await import('./sequence-gaps.ts')).sequenceGaps,
  'flipped-bits': async () => (await import('./flipped-bits.ts')).flippedBits,
  'slow-connections': async () => (await import('./slow-connections.ts')).slowConnections,
  'stop-under-load': async () => (await import('./stop-under-load.ts')).stopUnderLoad,
  'restore-drill': async () => (await import('./restore-drill.ts')).restoreDrill,
  defects: async () => (await import('./known-defects.ts')).knownDefects,
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
    short: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    from: { type: 'string' },
    to: { type: 'string' },
    build: { type: 'string', default: BUILD },
  },
})

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

const unknown = positionals.find(name => !Object.hasOwn(TESTS, name))
if (unknown !== undefined) {
  process.stderr.write(`fault test "${unknown}" is unknown; there are ${Object.keys(TESTS).join(', ')}\n`)
  process.exitCode = 2
} else {
  const { short, build } = values
  const seed = Number(values.seed)
  const [rounds, from, to] = [values.rounds, values.from, values.to].map(value =>
    value === undefined ? null : Number(value),
  ) as [number | null, number | null, number | null]
  print(`seed ${seed}`)
  for (const name of positionals.length > 0 ? positionals : Object.keys(TESTS)) {
    print(`\n${name}`)
    const test = await TESTS[name]!()
    const { violations, figures } = await test({
      seed,
      short,
      build,
      rounds,
      from,
      to,
      print: line => print(`  ${line}`),
    })
    for (const [figure, value] of Object.entries(figures)) print(`  ${figure.padEnd(36)}${String(value).padStart(12)}`)
    print(`  ${'violations'.padEnd(36)}${String(violations.length).padStart(12)}`)
    for (const violation of violations.slice(0, 20)) print(`  VIOLATION ${violation}`)
    if (violations.length > 0) process.exitCode = 1
  }
}
