import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { commandLine } from '../../collector/shell-quote.ts'
import type { CollectSummary } from '../../schemas/batch.ts'
import { pcap } from '../support/capture-builder.ts'
import { hasCommand, ROOT, requireExternal } from '../support/external.ts'
import { concat, ethernet, hex, ipv4, tcp } from '../support/frame-builder.ts'
import { simulateTelescope } from '../support/simulated-telescope.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'
import { HIRUNDO, hasTerminal, makePipe, startOnTerminal } from '../support/terminal.ts'

// Goal: `collect --telescope auto` uses only prefixes that somebody has agreed to. Method: the built command, with and
// without a terminal, on a simulated sensor with a /28.

const newFolder = temporaryFolders()
const CAPTURE = simulateTelescope(newFolder(), ['203.0.113.16/28'], 2000)

function collect(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [`${ROOT}dist/bin/main.js`, 'collect', ...args], {
    input: '',
    encoding: 'utf8',
  })
  return { status, stdout, stderr }
}

function auto(out: string, ...more: readonly string[]): string[] {
  return [CAPTURE, '--sensor', 'jp-1', '--telescope', 'auto', '--out', out, ...more]
}

const batchesIn = (out: string): string[] =>
  (existsSync(out) ? readdirSync(out) : []).filter(name => /arrow$/.test(name))

describe('without a terminal', () => {
  test('it proposes, prints the command with the prefixes, and collects nothing; that command collects', () => {
    const out = join(newFolder(), "operator's spool")
    const { status, stdout, stderr } = collect(...auto(out, '--batch-seconds', '3600', '--json'))
    expect([status, stdout, existsSync(out)]).toEqual([2, '', false])
    expect(stderr).toMatch(/\* {2}203\.0\.113\.16\/28 +16 of 16 +[\d ]+ {2}100\.0 % +\d+ {2}high\n/)
    expect(stderr).toMatch(
      /hirundo: collect: --telescope auto has no terminal to ask on; start the command above, or add --yes \[USAGE\]\n$/,
    )
    const line = stderr.split('\n').find(text => text.startsWith('  hirundo collect '))!
    expect(line).toContain("--telescope 203.0.113.16/28 --out '")
    const summary = JSON.parse(execFileSync('sh', ['-c', line.replace('hirundo', HIRUNDO)], { encoding: 'utf8' }))
    const [{ packets_read, packets_kept }] = (summary as CollectSummary).captures as [CollectSummary['captures'][0]]
    expect(packets_kept).toBe(packets_read)
    expect(batchesIn(out).length).toBeGreaterThan(1)
  })

  test('behind a tunnel it proposes the prefix inside, and the command that it prints looks inside too', () => {
    const folder = newFolder()
    const inner = Array.from({ length: 64 }, (_, at) =>
      ipv4({ src: `198.51.100.${at}`, dst: `203.0.113.${32 + (at % 16)}` }, tcp()),
    )
    const frames = inner.map(packet =>
      ethernet(0x0800, ipv4({ src: '192.0.2.1', dst: '192.0.2.2', protocol: 47 }, concat(hex('0000 0800'), packet))),
    )
    const path = join(folder, 'gre.pcap')
    writeFileSync(path, pcap(frames.map((frame, at) => ({ frame, seconds: 1_795_348_800 + at }))))
    const options = ['--sensor', 'jp-1', '--telescope', 'auto', '--out', join(folder, 'out'), '--decapsulate', 'gre']
    const { status, stderr } = collect(path, ...options)
    expect(status).toBe(2)
    const line = stderr.split('\n').find(text => text.startsWith('  hirundo collect '))!
    expect(line).toContain(' --telescope 203.0.113.32/28 ')
    expect(line).toContain(' --decapsulate gre')
    const { stdout } = collect(path, ...options, '--yes', '--json')
    expect((JSON.parse(stdout) as CollectSummary).captures).toMatchObject([{ packets_read: 64, packets_kept: 64 }])
  })

  test('--yes takes the proposal', () => {
    const out = newFolder()
    const { status, stdout } = collect(...auto(out, '--yes', '--json'))
    expect(status).toBe(0)
    const { captures, batches } = JSON.parse(stdout) as CollectSummary
    expect(captures[0]!.packets_kept).toBe(captures[0]!.packets_read)
    expect([batches, batchesIn(out).length]).toEqual([1, 1])
  })

  test.skipIf(!hasTerminal)('what can be read only once is refused', () => {
    const pipe = join(newFolder(), 'pipe')
    makePipe(pipe)
    const options = ['--sensor', 'a', '--telescope', 'auto', '--out', newFolder(), '--yes']
    const why = 'write it to a file first, or name the prefixes [USAGE]\n'
    expect(collect('-', ...options)).toEqual({
      status: 2,
      stdout: '',
      stderr: `hirundo: collect: --telescope auto reads the captures twice, and standard input can be read only once; ${why}`,
    })
    expect(collect(pipe, ...options)).toEqual({
      status: 2,
      stdout: '',
      stderr: `hirundo: collect: --telescope auto reads the captures twice, and ${pipe} can be read only once; ${why}`,
    })
  })

  test('a file that standard input was redirected from is refused too: it is read on from where it stands', () => {
    const main = `${ROOT}dist/bin/main.js collect /dev/stdin --sensor a --telescope auto --yes --out '${newFolder()}'`
    const { status, stderr } = spawnSync('sh', ['-c', `'${process.execPath}' ${main} < '${CAPTURE}'`], {
      encoding: 'utf8',
    })
    expect([status, stderr]).toEqual([
      2,
      'hirundo: collect: --telescope auto reads the captures twice, and /dev/stdin can be read only once; write it to a file first, or name the prefixes [USAGE]\n',
    ])
  })

  test('a capture of a conversation has no dark prefix', () => {
    const frames = [
      ['192.0.2.1', '198.51.100.1'],
      ['198.51.100.1', '192.0.2.1'],
    ].map(([src, dst]) => ethernet(0x0800, ipv4({ src: src!, dst: dst! }, tcp({ flags: 16 }))))
    const path = join(newFolder(), 'talk.pcap')
    writeFileSync(path, pcap(frames.map(frame => ({ frame }))))
    const { status, stderr } = collect(path, '--sensor', 'a', '--telescope', 'auto', '--out', newFolder(), '--yes')
    expect([status, stderr]).toEqual([
      3,
      'hirundo: telescope auto: no destination in the captures looks like a dark address; name the prefixes with --telescope CIDR,... [TELESCOPE_UNKNOWN]\n',
    ])
  })

  test.each([
    { why: 'a missing capture', args: ['/nowhere.pcap', '--sensor', 'a'], status: 3, code: 'CAPTURE_NOT_FOUND' },
    {
      why: 'a wrong name, before anything is read',
      args: ['/nowhere.pcap', '--sensor', 'A B'],
      status: 2,
      code: 'SENSOR_ID_INVALID',
    },
  ])('$why', ({ args, status, code }) => {
    const result = collect(...args, '--telescope', 'auto', '--out', newFolder())
    expect(result).toMatchObject({ status, stderr: expect.stringContaining(`[${code}]`) })
  })
})

describe.skipIf(!hasTerminal)('on a terminal', () => {
  async function answer(text: string) {
    const out = newFolder()
    const terminal = startOnTerminal(`${HIRUNDO} collect ${commandLine(auto(out))}`)
    await expect.poll(() => terminal.output(), { timeout: 20_000 }).toContain('Use these prefixes? [y/N] ')
    terminal.type(text)
    return { status: await terminal.ended, output: terminal.output(), batches: batchesIn(out).length }
  }

  test.each(['y\n', ' YES \n'])('%j collects', async text => {
    expect(await answer(text)).toMatchObject({
      status: 0,
      batches: 1,
      output: expect.stringContaining('203.0.113.16/28'),
    })
  })

  // The last is Ctrl-D: the end of the input without an answer.
  test.each(['\n', 'n\n', 'yesterday\n', '\x04'])('%j does not', async text => {
    expect(await answer(text)).toMatchObject({
      status: 2,
      batches: 0,
      output: expect.stringContaining(
        'collect: nothing was collected; name the prefixes with --telescope CIDR,... [USAGE]',
      ),
    })
  })
})

describe('the printed command', () => {
  test.each([
    { words: ['a.pcap', '--out', 'spool'], line: 'a.pcap --out spool' },
    { words: ['two words', "it's", '$HOME', ''], line: `'two words' 'it'\\''s' '$HOME' ''` },
    { words: ['2001:db8::/64,192.0.2.0/24'], line: '2001:db8::/64,192.0.2.0/24' },
    { words: ['a\x1b[2J', 'b\n', "'\\\u009b"], line: "$'a\\033[2J' $'b\\012' $'\\'\\\\\\302\\233'" },
  ])('$line', ({ words, line }) => {
    expect(commandLine(words)).toBe(line)
  })

  test.skipIf(!requireExternal('bash', hasCommand('bash')))('bash reads the same words', () => {
    const words = ['plain', 'two words', "it's", '$HOME `id`', 'a\x1b[2J', 'b\n', "'\\\u009b", '日本', '*']
    const read = spawnSync('bash', ['-c', `printf '%s\\0' ${commandLine(words)}`], { encoding: 'utf8' })
    expect(read.stdout).toBe(words.map(word => `${word}\0`).join(''))
  })
})
