import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { formatCount, Progress } from '../../collector/progress.ts'
import { pcap, pcapRecord } from '../support/capture-builder.ts'
import { concat, ethernet, ipv4, tcp } from '../support/frame-builder.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'
import { HIRUNDO, hasTerminal, makePipe, startOnTerminal } from '../support/terminal.ts'

// Goal: long work shows on a terminal how far it is, and leaves nothing behind; elsewhere nothing is printed. Method:
// the line by a clock of our own; the commands on a pseudo-terminal, fed through a pipe until the line has changed.

const newFolder = temporaryFolders()
const TAKE_AWAY = '\r\x1b[K'

describe('the line', () => {
  function progress(bytesTotal: number | null, columns = 200) {
    const clock = { now: 5000 }
    const written: string[] = []
    const output = { isTTY: true, columns, write: (text: string) => written.push(text) }
    return { clock, written, progress: new Progress(bytesTotal, output, () => clock.now) }
  }

  test('comes after a second, then four times a second, and goes away', () => {
    const { clock, written, progress: line } = progress(80e6)
    line.update(1e6, 10_000)
    clock.now += 999
    line.update(9e6, 90_000)
    expect(written).toEqual([])
    clock.now += 1001
    line.update(20e6, 4_000_000)
    clock.now += 249
    line.update(21e6, 4_100_000)
    clock.now += 1
    line.update(30e6, 4_500_000)
    line.clear()
    line.clear()
    expect(written).toEqual([
      `${TAKE_AWAY}25 % of 80 MB, 4 000 000 packets, 2.0 M packets/s, 6 s left`,
      `${TAKE_AWAY}37 % of 80 MB, 4 500 000 packets, 2.0 M packets/s, 4 s left`,
      TAKE_AWAY,
    ])
  })

  test('of which file, when there are several; without a total there is no time left', () => {
    const { clock, written, progress: line } = progress(null)
    clock.now += 2000
    line.update(2_340_000, 3000, '2 of 14')
    expect(written).toEqual([`${TAKE_AWAY}file 2 of 14: 2.3 MB, 3 000 packets, 2 k packets/s`])
  })

  test.each([
    { bytes: 1e6, left: '99 s' },
    { bytes: 1e5, left: '17 min' },
    { bytes: 1e4, left: '2 h 47 min' },
    { bytes: 200e6, left: '0 s' },
  ])('$left left after a second and $bytes of 100 MB', ({ bytes, left }) => {
    const { clock, written, progress: line } = progress(100e6)
    clock.now += 1000
    line.update(bytes, 10)
    expect(written[0]).toContain(`, 10 packets/s, ${left} left`)
  })

  test('is never wider than the terminal', () => {
    const { clock, written, progress: line } = progress(100e6, 40)
    clock.now += 1000
    line.update(50e6, 5_000_000, '1 of 2')
    expect(written[0]!.length - TAKE_AWAY.length).toBe(39)
  })

  test('is not there without a terminal', () => {
    const written: string[] = []
    const clock = { now: 0 }
    const line = new Progress(10, { isTTY: false, write: text => written.push(text) }, () => clock.now)
    clock.now = 5000
    line.update(5, 5)
    line.clear()
    expect(written).toEqual([])
  })

  test('counts are read in groups of three', () => {
    expect([0, 999, 1000, 4_200_000].map(formatCount)).toEqual(['0', '999', '1 000', '4 200 000'])
  })
})

const FRAME = ethernet(0x0800, ipv4({ dst: '203.0.113.9' }, tcp()))
const HEADER = pcap([])
const RECORDS = concat(...Array.from({ length: 50 }, () => pcapRecord({ frame: FRAME })))

describe.skipIf(!hasTerminal)('on a terminal', () => {
  test.each([
    { why: 'inspect', command: 'inspect -', says: 'Likely dark prefixes' },
    { why: 'packets into a file', command: 'packets - > OUT/lines.csv', says: '' },
    {
      why: 'collect',
      command: 'collect - --sensor a --telescope 203.0.113.0/24 --out OUT',
      says: 'flows in 1 batch',
    },
  ])('$why shows progress of standard input, changes it, and takes it away', async ({ command, says }) => {
    const folder = newFolder()
    const open = makePipe(join(folder, 'pipe'))
    const terminal = startOnTerminal(`${HIRUNDO} ${command.replace('OUT', folder)} < '${folder}/pipe'`, 100)
    const pipe = open()
    pipe.write(HEADER)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the line begins with them
    const shown = () => terminal.output().match(/\r\x1b\[K[\d.]+ MB, [\d ]+ packets, [\d.]+ k?M? ?packets\/s/g) ?? []
    let records = 0
    // However slow the machine is, it is fed until it has shown two different lines.
    while (new Set(shown()).size < 2) {
      pipe.write(RECORDS)
      records += 50
      await sleep(50)
    }
    pipe.end()
    expect(await terminal.ended).toBe(0)
    const afterwards = terminal.output().slice(terminal.output().lastIndexOf(TAKE_AWAY) + TAKE_AWAY.length)
    expect(afterwards).not.toContain('packets/s,')
    expect(afterwards).toContain(says)
    if (says === '') expect(afterwards).toBe('')
    if (command.startsWith('packets')) {
      expect(readFileSync(join(folder, 'lines.csv'), 'utf8').split('\n').length).toBe(records + 2)
    }
  })

  test('of several files it says which', async () => {
    const folder = newFolder()
    writeFileSync(join(folder, 'first.pcap'), concat(HEADER, RECORDS))
    const open = makePipe(join(folder, 'pipe'))
    const terminal = startOnTerminal(`${HIRUNDO} inspect '${folder}/first.pcap' '${folder}/pipe'`)
    const pipe = open()
    pipe.write(HEADER)
    while (!terminal.output().includes(`${TAKE_AWAY}file 2 of 2: `)) {
      pipe.write(RECORDS)
      await sleep(50)
    }
    pipe.end()
    expect(await terminal.ended).toBe(0)
    expect(terminal.output()).toContain('All 2 captures together')
  })

  test('lines that are printed to the terminal itself are not disturbed', async () => {
    const folder = newFolder()
    const open = makePipe(join(folder, 'pipe'))
    const terminal = startOnTerminal(`${HIRUNDO} packets - < '${folder}/pipe'`)
    const pipe = open()
    pipe.write(HEADER)
    for (let turn = 0; turn < 30; turn++) {
      pipe.write(RECORDS)
      await sleep(50)
    }
    pipe.end()
    expect(await terminal.ended).toBe(0)
    expect(terminal.output()).not.toContain('\x1b')
    expect(terminal.output().split('\n').length).toBe(30 * 50 + 2)
  })
})

test.each(['inspect', 'packets', 'collect'])(
  '%s prints no progress where standard error is no terminal',
  async name => {
    const options = name === 'collect' ? ['--sensor', 'a', '--telescope', '203.0.113.0/24', '--out', newFolder()] : []
    const words = HIRUNDO.replaceAll("'", '').split(' ')
    const child = spawn(words[0]!, [words[1]!, name, '-', ...options], { stdio: 'pipe' })
    let stderr = ''
    child.stderr.on('data', text => (stderr += text))
    child.stdout.resume()
    const ended = new Promise(resolve => child.on('close', resolve))
    child.stdin.write(HEADER)
    for (let turn = 0; turn < 30; turn++) {
      child.stdin.write(RECORDS)
      await sleep(50)
    }
    child.stdin.end()
    expect(await ended).toBe(0)
    // What collect says of its key is no progress.
    expect(stderr.replace(/^hirundo: key .*\n/, '')).toBe('')
  },
)
