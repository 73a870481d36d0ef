import { execFileSync } from 'node:child_process'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { hasCommand } from '../support/external.ts'
import { type Measured, measure, median } from './measure.ts'
import { PROGRAM, simulateDay } from './simulated-day.ts'

/*
 * `collect` against the field's tools on one simulated capture: a /24, one day, five million packets. In turn, several
 * rounds, so that what the machine does meanwhile meets them all alike; each on one processor unless said.
 */

const PACKETS = 5_000_000
const ROUNDS = 3
/** tshark takes minutes for five million packets: it gets a part, and what it took is scaled. */
const TSHARK_PACKETS = 200_000
const TSHARK_FIELDS =
  'frame.time_epoch frame.cap_len frame.len ip.src ip.dst ip.proto ip.len ip.ttl ip.id tcp.srcport tcp.dstport udp.srcport udp.dstport icmp.type icmp.code tcp.flags tcp.seq tcp.window_size_value'
/** Passes of the capture in the long run, and of that through standard input: 50 and 100 million packets. */
const LONG_PASSES = 10
const STREAM_PASSES = 2
const LONG_ROUNDS = 3

interface Contender {
  readonly name: string
  readonly command: (out: string) => string[]
  readonly processors?: string
  /** Packets that it reads. */
  readonly packets: number
}

/** What is compared with what, and the ratio of times that is asked: at most, or at least for the other side. */
interface Claim {
  readonly own: string
  readonly peer: string
  readonly asked: string
}

export async function run(): Promise<void> {
  await inFolder(async folder => {
    const { path, packets, telescope } = await simulateDay(join(folder, 'sim'), PACKETS)
    const pcapng = join(folder, 'day.pcapng')
    const gzip = join(folder, 'day.pcap.gz')
    const part = join(folder, 'part.pcap')
    execFileSync('editcap', ['-F', 'pcapng', path, pcapng])
    execFileSync('editcap', ['-F', 'pcap', '-r', path, part, `1-${TSHARK_PACKETS}`])
    execFileSync('sh', ['-c', 'gzip -6 -c "$0" > "$1"', path, gzip])
    const collect = collectCommand(telescope)
    const whole = { packets }
    await compare(
      folder,
      [
        { name: 'hirundo, pcap', command: out => collect(path, out, 1), ...whole },
        { name: 'hirundo, pcap, two cores', command: out => collect(path, out, 2), processors: '0,1', ...whole },
        { name: 'hirundo, pcapng', command: out => collect(pcapng, out, 1), ...whole },
        { name: 'hirundo, gzip', command: out => collect(gzip, out, 1), ...whole },
        { name: 'hirundo, gzip, two cores', command: out => collect(gzip, out, 1), processors: '0,1', ...whole },
        { name: 'tcpdump -w /dev/null', command: () => ['tcpdump', '-r', path, '-w', '/dev/null'], ...whole },
        { name: 'gzip -dc', command: () => ['gzip', '-dc', gzip], ...whole },
        { name: 'nfpcapd', command: out => ['nfpcapd', '-r', path, '-l', out], ...whole },
        { name: 'tracereport', command: () => ['tracereport', path], ...whole },
        {
          name: 'tshark -T fields',
          command: () => [
            'tshark',
            '-n',
            '-r',
            part,
            '-T',
            'fields',
            ...TSHARK_FIELDS.split(' ').flatMap(f => ['-e', f]),
          ],
          packets: TSHARK_PACKETS,
        },
      ],
      ROUNDS,
      [
        { own: 'hirundo, pcap', peer: 'tcpdump -w /dev/null', asked: 'at most 1.5 of its time' },
        { own: 'hirundo, pcap, two cores', peer: 'tcpdump -w /dev/null', asked: 'at most 1.0 of its time' },
        { own: 'hirundo, gzip', peer: 'gzip -dc', asked: 'at most 1.3 of its time' },
        { own: 'hirundo, gzip, two cores', peer: 'gzip -dc', asked: 'at most 1.3 of its time' },
        { own: 'hirundo, pcap', peer: 'nfpcapd', asked: 'at most 0.05 of its time' },
        { own: 'hirundo, pcap', peer: 'tracereport', asked: 'at most 0.25 of its time' },
        { own: 'hirundo, pcap', peer: 'tshark -T fields', asked: 'at most 0.02 of its time' },
      ],
    )
  })
}

/** Fifty million packets from a file, a hundred million through standard input. */
export async function runLong(): Promise<void> {
  await inFolder(async folder => {
    const { path, packets, telescope } = await simulateDay(join(folder, 'sim'), PACKETS)
    const long = join(folder, 'long.pcap')
    for (let pass = 0; pass < LONG_PASSES; pass++) {
      const start = pass === 0 ? 0 : 24
      await pipeline(createReadStream(path, { start }), createWriteStream(long, { flags: 'a' }))
    }
    const all = { packets: packets * LONG_PASSES }
    const collect = collectCommand(telescope)
    await compare(
      folder,
      [
        { name: 'hirundo', command: out => collect(long, out, 1), ...all },
        { name: 'hirundo, two cores', command: out => collect(long, out, 2), processors: '0,1', ...all },
        { name: 'tcpdump -w /dev/null', command: () => ['tcpdump', '-r', long, '-w', '/dev/null'], ...all },
      ],
      LONG_ROUNDS,
      [
        { own: 'hirundo', peer: 'tcpdump -w /dev/null', asked: 'at most 1.5 of its time' },
        { own: 'hirundo, two cores', peer: 'tcpdump -w /dev/null', asked: 'at most 1.0 of its time' },
      ],
    )
    const out = await mkdtemp(join(folder, 'out-'))
    const stream = await measure(collect('-', out, 1), out, { path: long, passes: STREAM_PASSES })
    const millions = (all.packets * STREAM_PASSES) / 1e6
    print(
      `${millions.toFixed(0)} M packets through standard input: ${stream.seconds.toFixed(1)} s, ${stream.residentMegabytes.toFixed(0)} MB resident at most (asked: 200)`,
    )
  })
}

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  if (!hasCommand('/usr/bin/time')) throw new Error('bench: /usr/bin/time is missing; install the package time')
  const folder = await mkdtemp(join(tmpdir(), 'hirundo-bench-'))
  try {
    await work(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

function collectCommand(telescope: string): (capture: string, out: string, jobs: number) => string[] {
  return (capture, out, jobs) => [
    ...[process.execPath, PROGRAM, 'collect', capture, '--jobs', String(jobs)],
    ...['--sensor', 'bench', '--telescope', telescope, '--out', out],
  ]
}

async function compare(
  folder: string,
  contenders: readonly Contender[],
  rounds: number,
  claims: readonly Claim[],
): Promise<void> {
  const present = contenders.filter(({ command }) => command('').every((word, at) => at > 0 || hasCommand(word)))
  const results = new Map<string, Measured[]>(present.map(({ name }) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const { name, command, processors } of present) {
      const out = await mkdtemp(join(folder, 'out-'))
      results.get(name)!.push(await measure(command(out), out, null, processors))
      await rm(out, { recursive: true })
    }
  }
  print(`node ${process.version}, ${rounds} rounds`)
  print('                             min s  median s     cpu s   M packets/s    MB resident')
  for (const { name, packets } of present) print(resultLine(name, results.get(name)!, packets))
  for (const { own, peer, asked } of claims) {
    const other = present.find(({ name }) => name === peer)
    if (!other) continue
    const perPacket = ({ name, packets }: Contender): number =>
      median(results.get(name)!.map(({ seconds }) => seconds)) / packets
    const ratio = perPacket(present.find(({ name }) => name === own)!) / perPacket(other)
    print(`${own} / ${peer}: ${ratio.toFixed(3)} of its time a packet (asked: ${asked})`)
  }
}

function resultLine(name: string, runs: readonly Measured[], packets: number): string {
  const seconds = runs.map(run => run.seconds)
  const resident = Math.max(...runs.map(run => run.residentMegabytes))
  return [
    name.padEnd(25),
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
