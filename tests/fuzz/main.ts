import { randomInt } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { keepFailure } from './damaged.ts'
import { runSeed, type ShardReport } from './run-shard.ts'

/**
 * `npm run fuzz`: mutated captures, frames and batches through everything that reads them. Prints what came of it, and
 * keeps each failing input in fixtures/damaged.
 *
 *   --seed N     of the cases; default: a new one, which is printed
 *   --cases N    default: two million
 *   --from N     number of the first case; default: 0
 *   --target T   one target alone
 */

const CASES = 2_000_000
const SEED_END = 2 ** 31
const PROGRESS_MILLISECONDS = 10_000
/** The checkout: this file runs from dist/tests/fuzz. */
const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const WORKER = fileURLToPath(new URL('worker.js', import.meta.url))

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(randomInt(SEED_END)) },
    cases: { type: 'string', default: String(CASES) },
    from: { type: 'string', default: '0' },
    target: { type: 'string' },
  },
})

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

function printCounts(what: string, counts: Readonly<Record<string, number>>): void {
  print(`${what}:`)
  for (const [name, count] of Object.entries(counts).sort()) print(`  ${name.padEnd(42)}${String(count).padStart(9)}`)
}

function printReport(report: ShardReport, seed: number): void {
  printCounts('cases by target and what the input was', report.outcomes)
  printCounts('cases with a packet that was dropped as', report.drops)
  for (const failure of report.failures) {
    print(`\nFAILING case ${failure.number} of seed ${seed}, ${failure.target}: ${failure.what}`)
    print(`  ${failure.made}`)
    print(`  kept as ${keepFailure(ROOT, failure, seed)}`)
    if (failure.stack !== '') print(failure.stack)
  }
  const { number, milliseconds, target } = report.slowest
  print(`\ncorpus ${report.corpus}, seed ${seed}: ${report.cases} cases, ${report.failing} failing`)
  const { cases, seconds, cpuSeconds } = report
  const rates = [cases / seconds, cases / cpuSeconds].map(Math.round)
  print(`${rates[0]} cases/s in ${seconds.toFixed(0)} s, ${rates[1]} cases/s of processor time`)
  print(`peak memory ${Math.round(report.residentBytesMax / 2 ** 20)} MiB`)
  print(`slowest case ${number} (${target}) ${milliseconds.toFixed(0)} ms`)
}

const [seed, cases, from] = [values.seed, values.cases, values.from].map(Number) as [number, number, number]
print(`seed ${seed}, ${cases} cases from ${from}`)
let shown = performance.now()
const report = await runSeed(
  { seed, from, to: from + cases, target: values.target ?? null },
  {
    root: ROOT,
    worker: WORKER,
    onProgress(number) {
      if (performance.now() - shown < PROGRESS_MILLISECONDS) return
      shown = performance.now()
      print(`  case ${number}`)
    },
  },
)
printReport(report, seed)
if (report.failing > 0 || report.cases < cases) process.exitCode = 1
