import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hasCommand } from '../support/external.ts'
import { type Measured, measure, median } from './measure.ts'
import { PROGRAM, simulateDay } from './simulated-day.ts'

/*
 * `collect` against the field's tools on one simulated capture: a /24, one day, five million packets. All on one core,
 * in turn, several rounds, so that what the machine does meanwhile meets them all alike.
 */

const PACKETS = 5_000_000
const ROUNDS = 5
/** Passes of the capture through standard input, for memory that must not grow. */
const STREAM_PASSES = 4

export async function run(): Promise<void> {
  if (!hasCommand('/usr/bin/time')) throw new Error('bench: /usr/bin/time is missing; install the package time')
  const folder = await mkdtemp(join(tmpdir(), 'hirundo-bench-'))
  try {
    await compare(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function compare(folder: string): Promise<void> {
  const { path, packets, telescope } = await simulateDay(join(folder, 'sim'), PACKETS)
  const bytes = (await stat(path)).size
  print(`${packets} packets, ${(bytes / 1e6).toFixed(0)} MB, node ${process.version}, ${ROUNDS} rounds on one core`)
  const collect = (capture: string, out: string) => [
    process.execPath,
    PROGRAM,
    'collect',
    capture,
    ...['--sensor', 'bench', '--telescope', telescope, '--out', out],
  ]
  const contenders: Record<string, (out: string) => string[]> = {
    'hirundo collect': out => collect(path, out),
    'tcpdump -w /dev/null': () => ['tcpdump', '-r', path, '-w', '/dev/null'],
    nfpcapd: out => ['nfpcapd', '-r', path, '-l', out],
    tracereport: () => ['tracereport', path],
  }
  const present = Object.entries(contenders).filter(
    ([name]) => name.startsWith('hirundo') || hasCommand(name.split(' ')[0]!),
  )
  const results = new Map<string, Measured[]>(present.map(([name]) => [name, []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, command] of present) {
      const out = await mkdtemp(join(folder, 'out-'))
      results.get(name)!.push(await measure(command(out), out))
      await rm(out, { recursive: true })
    }
  }
  print('                          min s  median s     cpu s   M packets/s    MB resident')
  for (const [name, runs] of results) print(resultLine(name, runs, packets))
  const own = median(results.get('hirundo collect')!.map(run => run.seconds))
  for (const [name, runs] of results) {
    if (name !== 'hirundo collect')
      print(`hirundo / ${name}: ${(own / median(runs.map(run => run.seconds))).toFixed(2)} of its time`)
  }
  const out = await mkdtemp(join(folder, 'out-'))
  const stream = await measure(collect('-', out), out, { path, passes: STREAM_PASSES })
  print(`${STREAM_PASSES} passes through standard input: ${stream.residentMegabytes.toFixed(0)} MB resident at most`)
}

function resultLine(name: string, runs: readonly Measured[], packets: number): string {
  const seconds = runs.map(run => run.seconds)
  const resident = Math.max(...runs.map(run => run.residentMegabytes))
  return [
    name.padEnd(22),
    Math.min(...seconds)
      .toFixed(2)
      .padStart(9),
    median(seconds).toFixed(2).padStart(9),
    median(runs.map(run => run.cpuSeconds))
      .toFixed(2)
      .padStart(9),
    (packets / median(seconds) / 1e6).toFixed(2).padStart(13),
    resident.toFixed(0).padStart(14),
  ].join(' ')
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
