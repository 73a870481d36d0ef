import { type ChildProcess, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import {
  copyFileSync,
  existsSync,
  linkSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { CollectSummary } from '../../schemas/batch.ts'
import { hasCommand, ROOT, requireExternal } from '../support/external.ts'
import { hirundo } from '../support/hirundo.ts'
import { readBatch } from '../support/read-batch.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// `hirundo collect` as a user starts it: output, exit status, files.

const newFolder = temporaryFolders()
const FIXTURES = `${ROOT}fixtures/captures/`
const ONE = `${FIXTURES}nmap-syn.pcap`
const TELESCOPE = ['--sensor', 'jp-1', '--telescope', '198.19.1.0/24,2001:db8:2::/120']

const batches = (out: string) => readdirSync(out).filter(name => name.endsWith('.arrow'))

function keyFile(): string {
  const path = join(newFolder(), 'jp-1.key')
  writeFileSync(path, '07'.repeat(32), { mode: 0o600 })
  return path
}

describe('hirundo collect', () => {
  it('--json prints one object with exactly the agreed fields', async () => {
    const out = newFolder()
    const { status, stdout } = await hirundo(['collect', ONE, ...TELESCOPE, '--out', out, '--key', keyFile(), '--json'])
    expect(status).toBe(0)
    const summary = JSON.parse(stdout) as CollectSummary
    expect(summary).toEqual({
      captures: [
        {
          path: ONE,
          format: 'pcap',
          packets_read: 64,
          packets_kept: 64,
          drops: {},
          first_packet: '2026-11-22T15:26:41.607391Z',
          last_packet: '2026-11-22T15:26:41.660717Z',
          truncated: false,
          error: null,
        },
      ],
      flows: 64,
      batches: 1,
      bytes_read: statSync(ONE).size,
      seconds: expect.any(Number),
      packets_per_second: expect.any(Number),
    })
    expect(batches(out).length).toBe(1)
  })

  it('reads files, directories and standard input to the same batch', async () => {
    const folder = newFolder()
    copyFileSync(ONE, join(folder, 'a.pcap'))
    const key = keyFile()
    const outs = [newFolder(), newFolder(), newFolder()]
    const collect = (capture: string, out: string, input?: Buffer) =>
      hirundo(['collect', capture, ...TELESCOPE, '--out', out, '--key', key], input)
    expect((await collect(ONE, outs[0]!)).status).toBe(0)
    expect((await collect(folder, outs[1]!)).status).toBe(0)
    expect((await collect('-', outs[2]!, readFileSync(ONE))).status).toBe(0)
    expect(batches(outs[1]!)).toEqual(batches(outs[0]!))
    expect(batches(outs[2]!)).toEqual(batches(outs[0]!))
  })

  it('makes a key when there is none, says so, and uses it from then on', async () => {
    const out = newFolder()
    const first = await hirundo(['collect', ONE, ...TELESCOPE, '--out', out])
    expect([first.status, first.stderr]).toEqual([0, expect.stringContaining('jp-1.key')])
    const second = await hirundo(['collect', ONE, ...TELESCOPE, '--out', out])
    expect([second.status, second.stderr]).toEqual([0, ''])
    expect(batches(out).length).toBe(1)
  })

  it('reads on past what is missing, empty or no capture, and ends with 3', async () => {
    const folder = newFolder()
    const text = join(folder, 'text.pcap')
    const empty = join(folder, 'empty.pcap')
    const cut = join(folder, 'cut.pcap')
    writeFileSync(text, 'this is no capture\n')
    writeFileSync(empty, '')
    writeFileSync(cut, readFileSync(ONE).subarray(0, 1000))
    const missing = join(folder, 'missing.pcap')
    const { status, stdout } = await hirundo([
      'collect',
      missing,
      text,
      empty,
      cut,
      ONE,
      ...TELESCOPE,
      '--out',
      newFolder(),
      '--json',
    ])
    expect(status).toBe(3)
    const { captures } = JSON.parse(stdout) as CollectSummary
    expect(captures.map(({ path, error }) => [path, error?.code])).toEqual([
      [missing, 'CAPTURE_NOT_FOUND'],
      [text, 'CAPTURE_FORMAT_UNKNOWN'],
      [empty, 'CAPTURE_EMPTY'],
      [cut, 'CAPTURE_TRUNCATED'],
      [ONE, undefined],
    ])
    expect(captures[3]!.packets_kept).toBeGreaterThan(0)
  })

  it('says that a capture is for another telescope', async () => {
    const out = newFolder()
    const { status, stdout } = await hirundo([
      'collect',
      ONE,
      '--sensor',
      'a',
      '--telescope',
      '192.0.2.0/24',
      '--out',
      out,
    ])
    expect([status, stdout]).toEqual([3, expect.stringContaining('CAPTURE_OFF_TELESCOPE')])
    expect(batches(out)).toEqual([])
  })

  it.each([
    [['--telescope', '198.19.1.0/24', '--out', 'x'], '--sensor'],
    [['--sensor', 'a', '--out', 'x'], '--telescope'],
    [['--sensor', 'a', '--telescope', '198.19.1.0/24'], '--out'],
    [['--sensor', 'A B', '--telescope', '198.19.1.0/24', '--out', 'x'], 'SENSOR_ID_INVALID'],
    [['--sensor', 'a', '--telescope', '198.19.1.1/24', '--out', 'x'], 'ADDRESS_INVALID'],
    [[...TELESCOPE, '--out', 'x', '--batch-seconds', '5'], '--batch-seconds'],
    [[...TELESCOPE, '--out', 'x', '--listened-since', '2026-01-01'], '--listened-until'],
    [[...TELESCOPE, '--out', 'x', '--unknown'], '--unknown'],
  ])('refuses %j', async (args, said) => {
    const { status, stderr } = await hirundo(['collect', ONE, ...args])
    expect([status, stderr]).toEqual([2, expect.stringContaining(said)])
  })

  it.each<[string, number, number, RegExp]>([
    ['ahead of the clock', -1, 2, /^hirundo: collect: listened until "[^"]+" is 2\.0 days ahead .* \[USAGE\]\n$/],
    ['longer than a hub takes', -402, -1, /^hirundo: collect: listened for 401\.0 days, at most 400 .* \[USAGE\]\n$/],
  ])('refuses declared time that is %s', async (_what, since, until, message) => {
    const day = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString()
    const out = newFolder()
    const listened = ['--listened-since', day(since), '--listened-until', day(until)]
    const { status, stderr } = await hirundo(['collect', ONE, ...TELESCOPE, '--out', out, ...listened])
    expect([status, stderr]).toEqual([2, expect.stringMatching(message)])
    expect(readdirSync(out)).toEqual([])
  })

  it('counts a file once that is named twice, whatever its names', async () => {
    const folder = newFolder()
    copyFileSync(ONE, join(folder, 'a.pcap'))
    symlinkSync('a.pcap', join(folder, 'latest.pcap'))
    const hard = join(newFolder(), 'hard.pcap')
    linkSync(join(folder, 'a.pcap'), hard)
    const named = [folder, hard, join(folder, 'a.pcap'), ONE, ONE]
    const { status, stdout, stderr } = await hirundo([
      'collect',
      ...named,
      ...TELESCOPE,
      '--out',
      newFolder(),
      '--json',
    ])
    const { captures } = JSON.parse(stdout) as CollectSummary
    expect(status).toBe(0)
    expect(captures.map(({ path, packets_read }) => [path, packets_read])).toEqual([
      [join(folder, 'a.pcap'), 64],
      [ONE, 64],
    ])
    expect(stderr.match(/is the same file as .*; it is counted once$/gm)).toHaveLength(4)
  })

  it('declares when the sensor listened', async () => {
    const out = newFolder()
    const listened = ['--listened-since', '2026-11-22T15:00:00Z', '--listened-until', '2026-11-22T16:00:00Z']
    expect((await hirundo(['collect', ONE, ...TELESCOPE, '--out', out, ...listened])).status).toBe(0)
    const { metadata } = readBatch(join(out, batches(out)[0]!))
    const at = (text: string) => Date.parse(text) * 1000
    expect(metadata.spans).toEqual([
      { from: at('2026-11-22T15:00:00Z'), to: at('2026-11-22T16:00:00Z'), basis: 'declared', packets: 64 },
    ])
  })

  it('an output folder that cannot be made is an error of the machine', async () => {
    const file = join(newFolder(), 'file')
    writeFileSync(file, '')
    const { status, stderr } = await hirundo(['collect', ONE, ...TELESCOPE, '--out', join(file, 'out')])
    expect([status, stderr]).toEqual([1, expect.stringContaining('OUTPUT_UNWRITABLE')])
  })

  it('writes what it has when a live capture is ended by a signal', async () => {
    const { child, out, summary } = collectLive()
    // The pipe stays open, as that of a tcpdump that goes on.
    child.stdin.write(readFileSync(ONE))
    await isReading(child)
    const asked = performance.now()
    child.kill('SIGTERM')
    expect(await summary()).toMatchObject({ captures: [{ path: '-', packets_kept: 64, error: null }], batches: 1 })
    expect(performance.now() - asked).toBeGreaterThan(1800)
    expect(batches(out).length).toBe(1)
  })

  it('a second signal does not wait for the end of the input', async () => {
    const { child, summary } = collectLive()
    child.stdin.write(readFileSync(ONE))
    await isReading(child)
    const asked = performance.now()
    child.kill('SIGINT')
    await new Promise(resolve => child.stderr.once('data', resolve))
    child.kill('SIGINT')
    expect(await summary()).toMatchObject({ captures: [{ packets_kept: 64, error: null }], batches: 1 })
    expect(performance.now() - asked).toBeLessThan(1800)
  })

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s loses nothing that the writer still holds', async signal => {
    const { child, summary } = collectLive()
    // As tcpdump: the header at once, the packets when the buffer is full or a signal comes.
    const writer = `const { readFileSync, writeSync } = require('node:fs')
      const capture = readFileSync(process.argv[1])
      process.on('${signal}', () => setTimeout(() => {
        for (let at = 24; at < capture.length; ) at += writeSync(1, capture, at, Math.min(100, capture.length - at))
        process.exit()
      }, 300))
      writeSync(1, capture, 0, 24)
      setInterval(() => {}, 1000)`
    const source = spawn(process.execPath, ['-e', writer, ONE], { stdio: ['ignore', 'pipe', 'inherit'] })
    source.stdout.pipe(child.stdin)
    await new Promise(resolve => source.stdout.once('data', resolve))
    await isReading(child)
    child.kill(signal)
    source.kill(signal)
    expect(await summary()).toMatchObject({
      captures: [{ packets_read: 64, packets_kept: 64, truncated: false, error: null }],
      batches: 1,
    })
  })

  const canCapture = hasCommand('tcpdump') && process.getuid?.() === 0
  it.skipIf(!requireExternal('tcpdump, as root', canCapture))('Ctrl-C on tcpdump loses no packet', async () => {
    const { child, summary } = collectLive('--telescope', '127.0.0.0/24')
    const socket = createSocket('udp4')
    // Not from the telescope itself.
    await new Promise<void>(resolve => socket.bind(0, '127.0.1.1', resolve))
    const { port } = socket.address()
    // Packets leave the kernel at once, and then lie in the buffer of tcpdump's output.
    const filter = ['--immediate-mode', '-Q', 'in', 'udp', 'and', 'dst', 'port', String(port)]
    const tcpdump = spawn('tcpdump', ['-i', 'lo', '-w', '-', ...filter], { stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    tcpdump.stderr.on('data', text => (said += text))
    tcpdump.stdout.pipe(child.stdin)
    await expect.poll(() => said, { timeout: 10_000 }).toContain('listening')
    await isReading(child)
    for (let count = 0; count < 40; count++) {
      await new Promise(resolve => socket.send('x', port, '127.0.0.1', resolve))
    }
    socket.close()
    await new Promise(resolve => setTimeout(resolve, 500))
    child.kill('SIGINT')
    tcpdump.kill('SIGINT')
    const { captures } = await summary()
    // On a busy machine the kernel may drop some before tcpdump; none may be lost behind it.
    const captured = Number(/^(\d+) packets? captured/m.exec(said)?.[1])
    expect(captured).toBeGreaterThan(0)
    expect(captures).toMatchObject([{ packets_read: captured, packets_kept: captured, error: null }])
  })
})

/** `collect -` that runs, with the sensor's telescope unless another is given. */
function collectLive(...telescope: string[]) {
  const out = newFolder()
  const args = ['collect', '-', ...TELESCOPE, ...telescope, '--out', out, '--key', keyFile(), '--json']
  const child = spawn(process.execPath, [`${ROOT}bin/hirundo`, ...args], { stdio: 'pipe' })
  let stdout = ''
  child.stdout.on('data', chunk => (stdout += chunk))
  const ended = new Promise<number | null>(resolve => child.once('close', resolve))
  const summary = async () => {
    expect(await ended).toBe(0)
    return JSON.parse(stdout) as CollectSummary
  }
  return { child, out, summary }
}

/** Until it has taken over the signals: /proc tells; elsewhere after a time that is enough. */
async function isReading({ pid }: ChildProcess): Promise<void> {
  const status = `/proc/${pid}/status`
  if (!existsSync(status)) return await new Promise(resolve => setTimeout(resolve, 3000))
  const caught = () => BigInt(`0x${/^SigCgt:\s*(\w+)$/m.exec(readFileSync(status, 'utf8'))![1]}`)
  const SIGHUP_BIT = 1n
  await expect.poll(() => caught() & SIGHUP_BIT, { timeout: 20_000 }).toBe(SIGHUP_BIT)
}
