import { spawnSync } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type CaptureInspection, CaptureInspector } from '../../collector/capture-inspection.ts'
import { inspectCaptures } from '../../collector/inspect-captures.ts'
import { inspectionText } from '../../collector/inspection-text.ts'
import { Packet } from '../../collector/packet.ts'
import { pageStyle } from '../../collector/page-style.ts'
import { readCapture } from '../../collector/read-capture.ts'
import { formatIpv4 } from '../../schemas/address.ts'
import { formatDay } from '../../schemas/time.ts'
import { TOOLS } from '../../schemas/tool.ts'
import { isEvidence } from '../../schemas/tool-evidence.ts'
import { pcap } from '../support/capture-builder.ts'
import { ROOT } from '../support/external.ts'
import { concat, ethernet, hex, icmp, ipv4, ipv6, tcp, udp } from '../support/frame-builder.ts'
import { simulateTelescope } from '../support/simulated-telescope.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'
import { HIRUNDO, hasTerminal, startOnTerminal } from '../support/terminal.ts'

// Goal: `inspect` says what is in a capture, as a page and as JSON. Method: the built command; its page against the
// page expected for a capture made here, its JSON against a plain loop over what `packets` prints.

const newFolder = temporaryFolders()
const T = 1_795_348_800

interface RunOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
}

function run(args: readonly string[], { cwd = ROOT, env = {} }: RunOptions = {}) {
  const options = {
    cwd,
    // Whoever runs the tests may have set these.
    env: { ...process.env, NO_COLOR: '', FORCE_COLOR: '', COLUMNS: '', TERM: 'xterm', ...env },
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
  } as const
  const { status, stdout, stderr } = spawnSync(process.execPath, [`${ROOT}dist/bin/main.js`, ...args], options)
  return { status, stdout, stderr }
}

/** 120 packets of an hour: scans, replies, an ICMP error, IPv6, and some that are dropped. */
function hourCapture(): Uint8Array {
  const frames = Array.from({ length: 120 }, (_, at) => {
    const src = `198.51.100.${1 + (at % 40)}`
    const dst = `203.0.113.${16 + (at % 16)}`
    if (at % 30 === 7) return ethernet(0x0806, new Uint8Array(28))
    if (at % 30 === 11) return ethernet(0x0800, ipv4({ src, dst }, hex('0102')))
    if (at % 10 === 3) return ethernet(0x0800, ipv4({ protocol: 17, src, dst }, udp(53, 40_000)))
    if (at % 10 === 5) return ethernet(0x0800, ipv4({ protocol: 1, src, dst }, icmp(3, 1)))
    if (at % 10 === 8) return ethernet(0x86dd, ipv6({ src: '2001:db8::7', dst: '2001:db8:1::9' }, tcp({ dstPort: 22 })))
    if (at % 10 === 9) return ethernet(0x0800, ipv4({ src, dst }, tcp({ srcPort: 80, dstPort: 50_000, flags: 18 })))
    return ethernet(0x0800, ipv4({ src, dst, id: 54_321 }, tcp({ dstPort: at % 2 === 0 ? 23 : 8291 })))
  })
  return pcap(
    frames.map((frame, at) => ({ frame, seconds: T + Math.floor((at * at) / 4), originalLength: frame.length + 40 })),
  )
}

function fileIn(folder: string, name: string, bytes: Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, bytes)
  return path
}

const PAGE_80 = `
hour.pcap
  format    pcap, link type 1 (ethernet)
  packets   120, 6 312 bytes captured of 11 112 bytes on the wire
  first     2026-11-22T12:00:00Z
  last      2026-11-22T12:59:00Z  59 min later, 0.034 packets/s

Packets over time
  16 │█
     │█
     │█▄▂
   0 │█████▆▆▆▆▄▆▄▄▄▄▄▄▄▄▄▂▄▄▂▄▂▄▂▄▂▄▂▂▄▂▂▄▂▂▂▄▂▂▂▂▄▂▂▂▂▂▂▂▂▂▂▂▂▂▂
      12:00   12:08   12:16   12:24   12:32   12:40   12:48   12:56
      packets in 1 min a column, UTC

Classes
  scan         76  67.9 %  ████████████████████████████████████████
  backscatter  36  32.1 %  ███████████████████

Protocols
  tcp   88  78.6 %  ████████████████████████████████████████
  icmp  12  10.7 %  █████▌
  udp   12  10.7 %  █████▌

Ports
  23/tcp              telnet                            48  42.9 %  ████████████
  8291/tcp                                              16  14.3 %  ████
  22/tcp              ssh                               12  10.7 %  ███
  80/tcp              http, replies                     12  10.7 %  ███
  53/udp              domain, replies                   12  10.7 %  ███
  icmp type 3 code 1  Destination Unreachable, replies  12  10.7 %  ███

Sources
  37; the first 10 sent 34.8 % of the packets
  2001:db8::7    12  10.7 %  ████████████████████████████████████████
  198.51.100.1    3   2.7 %  ██████████
    zmap 3 of 3 (chance 4e-15)
  198.51.100.3    3   2.7 %  ██████████
    zmap 3 of 3 (chance 4e-15)
  198.51.100.4    3   2.7 %  ██████████
  198.51.100.5    3   2.7 %  ██████████
    zmap 3 of 3 (chance 4e-15)
  198.51.100.6    3   2.7 %  ██████████
  198.51.100.7    3   2.7 %  ██████████
    zmap 3 of 3 (chance 4e-15)
  198.51.100.10   3   2.7 %  ██████████
  198.51.100.11   3   2.7 %  ██████████
    zmap 3 of 3 (chance 4e-15)
  198.51.100.13   3   2.7 %  ██████████
    zmap 3 of 3 (chance 4e-15)

Tools, by what headers say
  zmap  64  57.1 %  ████████████████████████████████████████
    IP identification = 54321

UDP probes, by their first bytes
  empty  12  10.7 %  ████████████████████████████████████████
    no payload: the UDP length is 8

Not counted
  not_ip               4  3.3 %
    The frame carries no IP (ARP, LLDP, a control frame, an unknown ethertype
    …).
  transport_truncated  4  3.3 %
    Too little of the TCP, UDP or ICMP header was captured to know ports or
    type.

Likely dark prefixes
     prefix                 seen  packets   share  first contacts  confidence
  *  203.0.113.16/28    16 of 16      100  89.3 %              36  high
     2001:db8:1::9/128    1 of 1       12  10.7 %               1  low
  A guess from destinations that many sources send to and that send nothing;
  collect --telescope auto uses those marked *.`

const PAGE_140 = `
hour.pcap
  format    pcap, link type 1 (ethernet)
  packets   120, 6 312 bytes captured of 11 112 bytes on the wire
  first     2026-11-22T12:00:00Z
  last      2026-11-22T12:59:00Z  59 min later, 0.034 packets/s

Packets over time
  11 │█
     │█
     │█▇▁▁▁
   0 │█████▆▆▆▆▆▆▃▆▃▆▃▆▃▃▃▆▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃ ▃▃▃▃▃ ▃▃▃ ▃▃▃ ▃▃▃ ▃▃ ▃▃ ▃▃ ▃▃ ▃▃ ▃▃ ▃ ▃▃ ▃ ▃▃ ▃ ▃▃ ▃ ▃ ▃ ▃▃ ▃ ▃ ▃ ▃ ▃ ▃ ▃ ▃ ▃
      12:00:00   12:05:30   12:11:00   12:16:30   12:22:00   12:27:30   12:33:00   12:38:30   12:44:00   12:49:30   12:55:00
      packets in 30 s a column, UTC

Classes                                                                 Protocols
  scan         76  67.9 %  ████████████████████████████████████████       tcp   88  78.6 %  ████████████████████████████████████████
  backscatter  36  32.1 %  ███████████████████                            icmp  12  10.7 %  █████▌
                                                                          udp   12  10.7 %  █████▌

Ports                                                                   Sources
  23/tcp              telnet             48  42.9 %  ███████████████      37; the first 10 sent 34.8 % of the packets
  8291/tcp                               16  14.3 %  █████                2001:db8::7    12  10.7 %  ███████████████████████████████████████
  22/tcp              ssh                12  10.7 %  ███▊                 198.51.100.1    3   2.7 %  █████████▊
  80/tcp              http, replies      12  10.7 %  ███▊                   zmap 3 of 3 (chance 4e-15)
  53/udp              domain, replies    12  10.7 %  ███▊                 198.51.100.3    3   2.7 %  █████████▊
  icmp type 3 code 1  Destination Unre…  12  10.7 %  ███▊                   zmap 3 of 3 (chance 4e-15)
                                                                          198.51.100.4    3   2.7 %  █████████▊
                                                                          198.51.100.5    3   2.7 %  █████████▊
                                                                            zmap 3 of 3 (chance 4e-15)
                                                                          198.51.100.6    3   2.7 %  █████████▊
                                                                          198.51.100.7    3   2.7 %  █████████▊
                                                                            zmap 3 of 3 (chance 4e-15)
                                                                          198.51.100.10   3   2.7 %  █████████▊
                                                                          198.51.100.11   3   2.7 %  █████████▊
                                                                            zmap 3 of 3 (chance 4e-15)
                                                                          198.51.100.13   3   2.7 %  █████████▊
                                                                            zmap 3 of 3 (chance 4e-15)

Tools, by what headers say
  zmap  64  57.1 %  ████████████████████████████████████████
    IP identification = 54321

UDP probes, by their first bytes
  empty  12  10.7 %  ████████████████████████████████████████
    no payload: the UDP length is 8

Not counted
  not_ip               4  3.3 %
    The frame carries no IP (ARP, LLDP, a control frame, an unknown ethertype …).
  transport_truncated  4  3.3 %
    Too little of the TCP, UDP or ICMP header was captured to know ports or type.

Likely dark prefixes
     prefix                 seen  packets   share  first contacts  confidence
  *  203.0.113.16/28    16 of 16      100  89.3 %              36  high
     2001:db8:1::9/128    1 of 1       12  10.7 %               1  low
  A guess from destinations that many sources send to and that send nothing; collect --telescope auto uses those marked *.`

describe('the page', () => {
  const folder = newFolder()
  fileIn(folder, 'hour.pcap', hourCapture())

  test('in 80 columns, which is the width where there is no terminal', () => {
    const { status, stdout, stderr } = run(['inspect', 'hour.pcap'], { cwd: folder })
    expect([status, stderr, stdout]).toEqual([0, '', `${PAGE_80.trimStart()}\n`])
  })

  test('in 140 columns', async () => {
    const { total } = await inspectCaptures([join(folder, 'hour.pcap')])
    const style = { width: 140, isColored: false, hasBlocks: true }
    expect(inspectionText({ ...total, format: 'pcap' }, style, 'hour.pcap')).toBe(PAGE_140.trimStart())
  })

  test('no line is wider than it may be', async () => {
    const fixtures = readdirSync(`${ROOT}fixtures/captures`).filter(name => name.endsWith('.pcap'))
    const captures = fixtures.map(name => `${ROOT}fixtures/captures/${name}`)
    captures.push(simulateTelescope(newFolder(), ['203.0.113.0/28', '2001:db8:d00d::/64'], 3000))
    const { captures: inspections, total } = await inspectCaptures(captures)
    for (const width of [60, 80, 100, 119, 120, 140, 160]) {
      for (const inspection of [...inspections, total]) {
        const page = inspectionText(inspection, { width, isColored: false, hasBlocks: true }, 'title')
        expect(
          page.split('\n').filter(line => line.length > width),
          `${inspection.path} in ${width} columns`,
        ).toEqual([])
      }
    }
  })

  test('ASCII alone on a terminal without blocks', () => {
    const { stdout } = run(['inspect', 'hour.pcap'], { cwd: folder, env: { TERM: 'linux' } })
    expect(stdout).toMatch(/^[\n -~]*$/)
    expect(stdout).toContain('####')
  })

  test('more sources than are counted one by one: it says so, and the counts that are there are exact', async () => {
    const inspector = new CaptureInspector(5)
    const counts = new Map<string, number>()
    const result = await readCapture(join(folder, 'hour.pcap'), new Packet(), packet => {
      inspector.add(packet)
      if (packet.drop >= 0 || packet.ipVersion !== 4) return
      const source = formatIpv4(packet.src3)
      counts.set(source, (counts.get(source) ?? 0) + 1)
    })
    const inspection = inspector.finish(result)
    const exact = (await inspectCaptures([join(folder, 'hour.pcap')])).total
    expect(inspection).toMatchObject({ source_count: 5, sources_capped: true, packets_kept: exact.packets_kept })
    expect(inspection.sources.length).toBe(5)
    for (const { name, packets } of inspection.sources) expect(packets, name).toBe(counts.get(name))
    const listed = inspection.sources.reduce((sum, { packets }) => sum + packets, 0)
    expect(inspection.sources_other_packets).toBe(exact.packets_kept - listed)
    const page = inspectionText(inspection, { width: 100, isColored: false, hasBlocks: true })
    expect(page).toContain('  more than 5; the first 5 sent ')
    expect(page).toContain(
      `  ${inspection.sources_other_packets} packets came from sources that were not counted one by one`,
    )
  })

  test('several captures: each, then all together; an error is said and the status is 3', () => {
    fileIn(folder, 'cut.pcap', hourCapture().subarray(0, -3))
    const { status, stdout } = run(['inspect', 'hour.pcap', 'cut.pcap'], { cwd: folder })
    expect(status).toBe(3)
    const titles = stdout.split('\n').filter(line => /^(hour|cut|All)/.test(line))
    expect(titles).toEqual(['hour.pcap', 'cut.pcap', 'All 2 captures together, 1 with an error'])
    expect(stdout).toMatch(/ {2}error {5}record 120 at byte \d+: the capture ends \d+ bytes\n? into it/)
    expect(stdout).toContain('  packets   239, ')
  })

  test('nothing of a name reaches the terminal as a command', () => {
    const named = newFolder()
    fileIn(named, 'a\x1b[2J\x9b31m\u202efdp.pcap', hourCapture())
    const text = run(['inspect', named])
    expect(text.stdout.split('\n')[0]).toBe(`${named}/a\\x1b[2J\\x9b31m\\u{202e}fdp.pcap`)
    const json = run(['inspect', named, '--json'])
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are looked for
    expect(json.stdout).not.toMatch(/[\x1b\x80-\x9f\u202e]/)
    expect(JSON.parse(json.stdout).captures[0].path).toBe(join(named, 'a\x1b[2J\x9b31m\u202efdp.pcap'))
  })
})

describe('colour', () => {
  const folder = newFolder()
  fileIn(folder, 'hour.pcap', hourCapture())
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colour is what is looked for
  const stripped = (text: string): string => text.replace(/\x1b\[[\d;]*m/g, '')

  test.each([
    { why: 'a terminal has it', env: {}, isColored: true },
    { why: 'a pipe has none', isTTY: false, env: {}, isColored: false },
    { why: 'NO_COLOR', env: { NO_COLOR: '1' }, isColored: false },
    { why: 'an empty NO_COLOR says nothing', env: { NO_COLOR: '' }, isColored: true },
    { why: 'FORCE_COLOR, in a pipe', isTTY: false, env: { FORCE_COLOR: '1' }, isColored: true },
    { why: 'FORCE_COLOR is above NO_COLOR', env: { FORCE_COLOR: '1', NO_COLOR: '1' }, isColored: true },
    { why: 'FORCE_COLOR=0', env: { FORCE_COLOR: '0' }, isColored: false },
    { why: 'a dumb terminal', env: { TERM: 'dumb' }, isColored: false },
  ])('$why', ({ env, isColored, isTTY = true }) => {
    expect(pageStyle({ isTTY, columns: 100 }, env).isColored).toBe(isColored)
  })

  test.each([
    { why: 'of the terminal', env: {}, width: 100 },
    { why: 'of the terminal, whatever COLUMNS says', env: { COLUMNS: '90' }, width: 100 },
    { why: 'of COLUMNS without a terminal', isTTY: false, env: { COLUMNS: '90' }, width: 90 },
    { why: '80 with neither', isTTY: false, env: { COLUMNS: 'many' }, width: 80 },
    { why: 'never less than 60', columns: 20, env: {}, width: 60 },
    { why: 'never more than 160', columns: 400, env: {}, width: 160 },
    { why: '80 on a terminal that does not know', columns: 0, env: {}, width: 80 },
  ])('width $why', ({ env, width, isTTY = true, columns = 100 }) => {
    expect(pageStyle({ isTTY, columns }, env).width).toBe(width)
  })

  test('the words and numbers are the same with and without', async () => {
    const { total } = await inspectCaptures([join(folder, 'hour.pcap')])
    const page = (isColored: boolean) => inspectionText(total, { width: 140, isColored, hasBlocks: true })
    expect(page(true)).toContain('\x1b[')
    expect(stripped(page(true))).toBe(page(false))
  })

  test.skipIf(!hasTerminal).each([
    { why: 'on a terminal', env: {}, isColored: true },
    { why: 'not with NO_COLOR', env: { NO_COLOR: '1' }, isColored: false },
    { why: 'not on a dumb terminal', env: { TERM: 'dumb' }, isColored: false },
  ])('$why, in its width', async ({ env, isColored }) => {
    const terminal = startOnTerminal(`${HIRUNDO} inspect '${folder}/hour.pcap'`, 140, env)
    expect(await terminal.ended).toBe(0)
    const output = terminal.output().replaceAll('\r\n', '\n')
    expect(output.includes('\x1b[')).toBe(isColored)
    if (isColored)
      expect(stripped(output).split('\n').slice(1)).toEqual(PAGE_140.trimStart().split('\n').slice(1).concat(''))
  })
})

describe('--json', () => {
  /** What `inspect` must say, from the lines of `packets` alone. */
  function inspectLines(csv: string) {
    const [head, ...lines] = csv.trimEnd().split('\n')
    const names = head!.split(',')
    const rows = lines.map(line => Object.fromEntries(line.split(',').map((cell, at) => [names[at]!, cell])))
    const kept = rows.filter(row => row['drop'] === '')
    const tally = (of: readonly Record<string, string>[], keyOf: (row: Record<string, string>) => string | null) => {
      const counts = new Map<string, number>()
      for (const row of of) {
        const key = keyOf(row)
        if (key !== null) counts.set(key, (counts.get(key) ?? 0) + 1)
      }
      return Object.fromEntries(counts)
    }
    const protocols: Record<string, string> = { 1: 'icmp', 6: 'tcp', 17: 'udp', 58: 'icmpv6' }
    const portOf = (row: Record<string, string>): string | null => {
      const name = protocols[row['protocol']!]
      if (row['icmp_type'] !== '') return `${name} type ${row['icmp_type']} code ${row['icmp_code']}`
      if (row['src_port'] === '') return null
      return `${row['class'] === 'backscatter' ? row['src_port'] : row['dst_port']}/${name}`
    }
    const times = rows.map(row => Number(row['time']))
    return {
      packets: rows.length,
      packets_kept: kept.length,
      bytes_captured: rows.reduce((sum, row) => sum + Number(row['caplen']), 0),
      bytes_on_wire: rows.reduce((sum, row) => sum + Number(row['len']), 0),
      times,
      classes: tally(kept, row => row['class']!),
      protocols: tally(kept, row => protocols[row['protocol']!] ?? row['protocol']!),
      ports: tally(kept, portOf),
      replies: tally(
        kept.filter(row => row['class'] === 'backscatter'),
        portOf,
      ),
      sources: tally(kept, row => row['src']!),
      /** By source and tool. */
      matches: kept.reduce<Record<string, number>>((counts, row) => {
        for (const tool of row['tools']!.split('|')) {
          counts[`${row['src']} ${tool}`] = (counts[`${row['src']} ${tool}`] ?? 0) + 1
        }
        return counts
      }, {}),
      tools: kept.reduce<Record<string, number>>((counts, row) => {
        for (const tool of row['tools']!.split('|').filter(name => name !== '')) counts[tool] = (counts[tool] ?? 0) + 1
        return counts
      }, {}),
      drops: tally(rows, row => row['drop'] || null),
    }
  }

  const pairs = (rows: readonly { name: string; packets: number }[]) =>
    Object.fromEntries(rows.map(({ name, packets }) => [name, packets]))

  function expectEqual(inspection: CaptureInspection, csv: string): void {
    const plain = inspectLines(csv)
    for (const name of ['packets', 'packets_kept', 'bytes_captured', 'bytes_on_wire'] as const) {
      expect(inspection[name], name).toBe(plain[name])
    }
    for (const name of ['classes', 'protocols', 'tools', 'drops'] as const) {
      expect(pairs(inspection[name]), name).toEqual(plain[name])
    }
    for (const name of ['ports', 'sources'] as const) {
      const largest = Object.values(plain[name]).sort((a, b) => b - a)
      // Which of equals are listed is open; each has its own count.
      expect(inspection[name].map(({ packets }) => packets)).toEqual(largest.slice(0, 10))
      expect(plain[name]).toMatchObject(pairs(inspection[name]))
    }
    for (const { name, packets, tools } of inspection.sources) {
      const told = tools.map(tool => [tool.name, tool.matched, tool.packets])
      const expected = TOOLS.map(tool => ({ ...tool, matched: plain.matches[`${name} ${tool.name}`] ?? 0 }))
        .filter(tool => isEvidence(tool, tool.matched, packets))
        .sort((a, b) => b.matched - a.matched)
      expect(told, name).toEqual(expected.map(tool => [tool.name, tool.matched, packets]))
    }
    for (const { name, backscatter } of inspection.ports) expect(backscatter, name).toBe(plain.replies[name] ?? 0)
    expect(inspection.source_count).toBe(Object.keys(plain.sources).length)
    const [first, last] = [Math.min(...plain.times), Math.max(...plain.times)]
    expect(Date.parse(inspection.first_packet!)).toBe(Math.floor(first * 1000))
    expect(Date.parse(inspection.last_packet!)).toBe(Math.floor(last * 1000))
    expect(inspection.duration_seconds).toBeCloseTo(last - first, 6)
    const { start, bucket_seconds, packets } = inspection.packets_over_time!
    const expected = new Array<number>(packets.length).fill(0)
    for (const time of plain.times) {
      expected[Math.floor((Math.floor(time * 1000) - Date.parse(start)) / (bucket_seconds * 1000))]!++
    }
    expect(packets).toEqual(expected)
  }

  test('is what a plain loop over the output of packets makes of it, for each capture and for all', () => {
    const folder = newFolder()
    const captures = [
      fileIn(folder, 'hour.pcap', hourCapture()),
      simulateTelescope(newFolder(), ['203.0.113.0/28', '2001:db8:d00d::/64'], 4000),
    ]
    const { status, stdout } = run(['inspect', ...captures, '--json'])
    expect(status).toBe(0)
    const { captures: each, total } = JSON.parse(stdout) as { captures: CaptureInspection[]; total: CaptureInspection }
    const lines = captures.map(path => run(['packets', path]).stdout)
    expect(each.map(({ path }) => path)).toEqual(captures)
    each.forEach((inspection, at) => {
      expectEqual(inspection, lines[at]!)
    })
    expect(total.path).toBe(null)
    // No column of packets names the probe; hourCapture has 12 empty ones, the simulated sensor its own.
    expect(pairs(each[0]!.udp_probes)).toEqual({ empty: 12 })
    const probes = pairs(each[1]!.udp_probes)
    expect(pairs(total.udp_probes)).toEqual({ ...probes, empty: (probes['empty'] ?? 0) + 12 })
    expectEqual(total, lines[0]! + lines[1]!.slice(lines[1]!.indexOf('\n') + 1))
    expect(formatDay(Date.parse(total.first_packet!) / 1000)).toBe('2026-11-22')
  })

  test('of one capture the total is the same, but for what belongs to a file', () => {
    const { stdout } = run(['inspect', 'fixtures/captures/nmap-syn.pcap', '--json'])
    const { captures, total } = JSON.parse(stdout)
    expect(total).toEqual({ ...captures[0], path: null, format: null })
  })

  test('a capture without packets, and one whose times cannot be', () => {
    const folder = newFolder()
    fileIn(folder, 'none.pcap', pcap([]))
    const simple = concat(
      hex('0a0d0d0a1c0000004d3c2b1a01000000ffffffffffffffff1c000000'),
      hex('010000001400000001000000000000001400000003000000140000000400000000000000 14000000'),
    )
    fileIn(folder, 'simple.pcapng', simple)
    const { stdout, status } = run(['inspect', join(folder, 'none.pcap'), join(folder, 'simple.pcapng'), '--json'])
    expect(status).toBe(0)
    const untimed = { first_packet: null, last_packet: null, packets_per_second: null, packets_over_time: null }
    expect(JSON.parse(stdout)).toMatchObject({
      captures: [
        { packets: 0, ...untimed, duration_seconds: 0, likely_prefixes: [] },
        { packets: 1, ...untimed, duration_seconds: 0 },
      ],
      total: { packets: 1, ...untimed },
    })
    expect(run(['inspect', folder]).status).toBe(0)
  })
})
