import { spawnSync } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, describe, expect, it } from 'vitest'
import type { CollectSummary } from '../../schemas/batch.ts'
import { hasCommand, ROOT, requireExternal } from '../support/external.ts'
import { hirundo } from '../support/hirundo.ts'
import { CommandProcess } from '../support/hub-process.ts'
import { addUpFlows, readBatch } from '../support/read-batch.ts'
import { synCapture } from '../support/syn-capture.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// `hirundo collect --follow` and `--watch` as a user starts them: output, exit status, files.

const newFolder = temporaryFolders()
const ONE = `${ROOT}fixtures/captures/nmap-syn.pcap`
const OPTIONS = ['--sensor', 'jp-1', '--telescope', '198.19.1.0/24,203.0.113.0/24']

const started: CommandProcess[] = []
// A failed test must not leave one running.
afterAll(async () => {
  const running = started.filter(({ child }) => child.exitCode === null && child.signalCode === null)
  await Promise.all(running.map(command => command.kill()))
})

function startLive(path: string, mode: '--follow' | '--watch', ...more: string[]) {
  const out = newFolder()
  const command = new CommandProcess(['collect', path, mode, ...OPTIONS, '--out', out, '--json', ...more])
  started.push(command)
  const end = async (signal: NodeJS.Signals = 'SIGINT') => {
    command.child.kill(signal)
    const { status, stdout } = await command.finished
    return { status, summary: JSON.parse(stdout) as CollectSummary }
  }
  const state = join(out, 'jp-1.state.json')
  return { command, out, end, isReading: () => expect.poll(() => existsSync(state), { timeout: 20_000 }).toBe(true) }
}

const flowsIn = (out: string) =>
  addUpFlows(
    readdirSync(out)
      .filter(name => name.endsWith('.arrow'))
      .flatMap(name => readBatch(join(out, name)).rows),
  )

describe('hirundo collect --follow', () => {
  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('reads a file as it grows, until %s', async signal => {
    const path = join(newFolder(), 'live.pcap')
    const content = readFileSync(ONE)
    // Within the header of a record.
    writeFileSync(path, content.subarray(0, 30))
    const { end, isReading, out } = startLive(path, '--follow')
    await isReading()
    for (let at = 30; at < content.length; at += 371) {
      appendFileSync(path, content.subarray(at, at + 371))
      await delay(20)
    }
    const { status, summary } = await end(signal)
    expect(status).toBe(0)
    expect(summary).toMatchObject({
      captures: [{ path, format: 'pcap', packets_read: 64, packets_kept: 64, truncated: false, error: null }],
      flows: 64,
      batches: 1,
      bytes_read: content.length,
    })
    expect(flowsIn(out).size).toBe(64)
  })

  it('a file that becomes shorter is the end, with what was read in a batch', async () => {
    const path = join(newFolder(), 'live.pcap')
    writeFileSync(path, readFileSync(ONE))
    const { command, out, isReading } = startLive(path, '--follow')
    await isReading()
    await delay(1500)
    truncateSync(path, 100)
    const { status, stdout, stderr } = await command.finished
    expect([status, stderr]).toEqual([3, expect.stringContaining('[CAPTURE_REWRITTEN]')])
    const { captures } = JSON.parse(stdout) as CollectSummary
    expect(captures.map(({ packets_kept, error }) => [packets_kept, error?.code])).toEqual([
      [64, undefined],
      [0, 'CAPTURE_REWRITTEN'],
    ])
    expect(flowsIn(out).size).toBe(64)
  })
})

describe('hirundo collect --watch', () => {
  it('waits for captures to come', async () => {
    const folder = newFolder()
    const { end, isReading } = startLive(folder, '--watch')
    await isReading()
    writeFileSync(join(folder, 'a.pcap'), synCapture(1, 30, [203, 0, 113]))
    await delay(1500)
    // The next one is written when the signal has come already.
    writeFileSync(join(folder, 'b.pcap'), synCapture(2, 40, [203, 0, 113]))
    const { status, summary } = await end()
    expect([status, summary.captures.map(({ packets_kept }) => packets_kept)]).toEqual([0, [30, 40]])
  })

  it('a folder without captures is no error', async () => {
    const { end, isReading, out } = startLive(newFolder(), '--watch')
    await isReading()
    const { status, summary } = await end()
    expect([status, summary.captures, summary.batches]).toEqual([0, [], 0])
    expect(readdirSync(out).sort()).toEqual(['jp-1.key', 'jp-1.state.json'])
  })

  it.skipIf(!requireExternal('tcpdump', hasCommand('tcpdump')))('reads what a rotating tcpdump writes', async () => {
    const [folder, big, plain] = [newFolder(), join(newFolder(), 'big.pcap'), newFolder()]
    const captures = Array.from({ length: 360 }, (_, seed) => synCapture(seed, 60, [203, 0, 113]))
    writeFileSync(big, Buffer.concat(captures.map((capture, at) => (at === 0 ? capture : capture.subarray(24)))))
    const key = join(newFolder(), 'key')
    writeFileSync(key, '07'.repeat(32), { mode: 0o600 })
    const options = ['--key', key, '--batch-seconds', '3600']
    const { end, isReading, out } = startLive(folder, '--watch', ...options)
    await isReading()
    // As root it would become another user, who may not write there.
    const asRoot = process.getuid?.() === 0 ? ['-Z', 'root'] : []
    // A new file after each million bytes; -z compresses what is finished, in processes that go on when tcpdump ends.
    const tcpdump = spawnSync('tcpdump', [
      '-r',
      big,
      '-w',
      join(folder, 'out.pcap'),
      '-C',
      '1',
      '-z',
      'gzip',
      ...asRoot,
    ])
    expect(tcpdump.status, String(tcpdump.stderr)).toBe(0)
    expect(readdirSync(folder).length).toBeGreaterThan(1)
    await delay(4000)
    const { status, summary } = await end()
    expect(status).toBe(0)
    expect(summary.captures.reduce((sum, { packets_read }) => sum + packets_read, 0)).toBe(21_600)
    expect((await hirundo(['collect', big, ...OPTIONS, ...options, '--out', plain])).status).toBe(0)
    expect(flowsIn(out)).toEqual(flowsIn(plain))
  })

  it('runs once for a sensor and folder', async () => {
    const folder = newFolder()
    const { command, out, end, isReading } = startLive(folder, '--watch')
    await isReading()
    const second = await hirundo(['collect', folder, '--watch', ...OPTIONS, '--out', out])
    expect([second.status, second.stderr]).toEqual([1, expect.stringContaining(`process ${command.child.pid} reads`)])
    expect((await end()).status).toBe(0)
  })
})

describe('what cannot be read live', () => {
  it.each([
    [['--follow', '--watch'], ['a'], '--follow and --watch exclude each other'],
    [['--watch'], ['a', 'b'], '--watch takes one CAPTURE, not 2'],
    [['--follow'], ['-'], 'standard input needs no --follow: it is read until it ends'],
    [
      ['--follow', '--listened-since', '2026-01-01', '--listened-until', '2026-01-02'],
      ['a'],
      '--listened-since and --listened-until are for captures that are complete, not for --follow',
    ],
    [
      ['--watch', '--telescope', 'auto'],
      ['a'],
      '--telescope auto needs captures that are complete; with --watch name the prefixes',
    ],
  ])('%j of %j is wrong usage', async (mode, captures, said) => {
    const { status, stderr } = await hirundo(['collect', ...captures, ...OPTIONS, '--out', newFolder(), ...mode])
    expect([status, stderr]).toEqual([2, `hirundo: collect: ${said} [USAGE]\n`])
  })

  it('a path of another kind is told', async () => {
    const folder = newFolder()
    const missing = join(folder, 'missing')
    const zip = `${ROOT}fixtures/captures/format-gzip.pcap.gz`
    const run = async (path: string, mode: string) => {
      const { status, stderr } = await hirundo(['collect', path, mode, ...OPTIONS, '--out', newFolder()])
      return [status, stderr.replace(/^hirundo: /, '').trim()]
    }
    expect(await run(ONE, '--watch')).toEqual([
      2,
      `collect: ${ONE} is a file; --watch takes a directory, --follow a file [USAGE]`,
    ])
    expect(await run(folder, '--follow')).toEqual([
      2,
      `collect: ${folder} is a directory; --follow takes a file, --watch a directory [USAGE]`,
    ])
    expect(await run(zip, '--follow')).toEqual([
      2,
      `collect: ${zip} is pcap (gzip): what is compressed cannot be followed, --watch takes it when it is whole [USAGE]`,
    ])
    expect(await run('/dev/null', '--follow')).toEqual([
      2,
      'collect: /dev/null is no regular file; a pipe needs no --follow [USAGE]',
    ])
    expect(await run(missing, '--follow')).toEqual([3, `capture ${missing}: there is no such file [CAPTURE_NOT_FOUND]`])
    expect(await run(missing, '--watch')).toEqual([3, `directory ${missing}: there is none [CAPTURE_NOT_FOUND]`])
  })

  it('a state that cannot be read keeps everything as it is', async () => {
    const out = newFolder()
    mkdirSync(out, { recursive: true })
    writeFileSync(join(out, 'jp-1.state.json'), '{')
    const { status, stderr } = await hirundo(['collect', newFolder(), '--watch', ...OPTIONS, '--out', out])
    expect([status, stderr]).toEqual([1, expect.stringContaining('[STATE_INVALID]')])
  })
})
