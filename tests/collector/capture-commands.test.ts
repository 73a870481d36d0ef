import { spawn } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { listCaptures } from '../../collector/list-captures.ts'
import { pcap, pcapRecord } from '../support/capture-builder.ts'
import { temporaryFolder } from '../support/data-folder.ts'
import { ROOT } from '../support/external.ts'
import { concat, ethernet, hex, ipv4, tcp, udp } from '../support/frame-builder.ts'

// Goal: `packets` and `inspect` keep what scripts rely on: header, columns, exit status, streams.
// Method: the compiled command as a process, on captures made here.

// This is the wording of the design: no constant of the code may be used in its place.
const CSV_HEADER =
  'index,time,link_type,caplen,len,ip_version,src,dst,protocol,ip_length,ttl,ip_id,src_port,dst_port,icmp_type,icmp_code,tcp_flags,tcp_seq,tcp_window,class,tools,drop'

const T = 1_763_800_000
const SYN = ethernet(0x0800, ipv4({ id: 54_321, dst: '203.0.113.9' }, tcp()))
const DNS = ethernet(0x0800, ipv4({ protocol: 17, dst: '203.0.113.200' }, udp(53, 40_000)))
const ARP = ethernet(0x0806, new Uint8Array(28))
const CAPTURE = pcap([
  { frame: SYN, seconds: T, fraction: 1 },
  { frame: DNS, seconds: T + 1 },
  { frame: ARP, seconds: T + 2 },
])
const CUT = CAPTURE.slice(0, -1)

const SYN_LINE = `1,${T}.000001000,1,54,54,4,198.51.100.7,203.0.113.9,6,40,64,54321,40000,23,,,2,16909060,1024,scan,zmap,`
const DNS_LINE = `2,${T + 1}.000000000,1,42,42,4,198.51.100.7,203.0.113.200,17,28,64,4660,53,40000,,,,,,backscatter,,`
const ARP_LINE = `3,${T + 2}.000000000,1,42,42,,,,,,,,,,,,,,,,,not_ip`

interface Run {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

function hirundo(args: readonly string[], input?: Uint8Array): Promise<Run> {
  return new Promise(resolve => {
    const child = spawn(process.execPath, [`${ROOT}dist/bin/main.js`, ...args])
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', chunk => out.push(chunk))
    child.stderr.on('data', chunk => err.push(chunk))
    child.stdin.on('error', () => {})
    child.stdin.end(input)
    child.on('close', status => {
      resolve({ status, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() })
    })
  })
}

function file(bytes: Uint8Array, name = 'capture.pcap'): string {
  const path = join(temporaryFolder(), name)
  writeFileSync(path, bytes)
  return path
}

describe('packets', () => {
  test('csv', async () => {
    expect(await hirundo(['packets', file(CAPTURE)])).toEqual({
      status: 0,
      stdout: `${[CSV_HEADER, SYN_LINE, DNS_LINE, ARP_LINE].join('\n')}\n`,
      stderr: '',
    })
  })

  test('ndjson: the same columns, numbers as numbers, null for what is not there', async () => {
    const { status, stdout } = await hirundo(['packets', file(CAPTURE), '--format', 'ndjson'])
    const rows = stdout
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line))
    expect(status).toBe(0)
    expect(rows.map(row => Object.keys(row).join(','))).toEqual([CSV_HEADER, CSV_HEADER, CSV_HEADER])
    expect(rows[0]).toEqual({
      index: 1,
      time: `${T}.000001000`,
      link_type: 1,
      caplen: 54,
      len: 54,
      ip_version: 4,
      src: '198.51.100.7',
      dst: '203.0.113.9',
      protocol: 6,
      ip_length: 40,
      ttl: 64,
      ip_id: 54_321,
      src_port: 40_000,
      dst_port: 23,
      icmp_type: null,
      icmp_code: null,
      tcp_flags: 2,
      tcp_seq: 16_909_060,
      tcp_window: 1024,
      class: 'scan',
      tools: ['zmap'],
      drop: null,
    })
    expect(rows[2]).toMatchObject({ ip_version: null, src: null, class: null, tools: [], drop: 'not_ip' })
  })

  test('--telescope marks packets for other addresses, and tells their class all the same', async () => {
    const { stdout } = await hirundo(['packets', file(CAPTURE), '--telescope', '203.0.113.0/25,192.0.2.0/24'])
    expect(stdout.trimEnd().split('\n').slice(1)).toEqual([SYN_LINE, `${DNS_LINE}not_for_telescope`, ARP_LINE])
  })

  test('standard input, compressed', async () => {
    const { status, stdout } = await hirundo(['packets', '-'], gzipSync(CAPTURE))
    expect([status, stdout.split('\n').length]).toEqual([0, 5])
  })

  test('cut short: what came before is printed, the status is 3, and the message says where', async () => {
    const { status, stdout, stderr } = await hirundo(['packets', file(CUT)])
    expect(status).toBe(3)
    expect(stdout.trimEnd().split('\n').slice(1)).toEqual([SYN_LINE, DNS_LINE])
    expect(stderr).toMatch(/^hirundo: .*capture\.pcap: record 3 at byte 152: .* \[CAPTURE_TRUNCATED\]\n$/)
  })

  test.each([
    { why: 'no capture', args: [], status: 2, code: 'USAGE' },
    { why: 'two captures', args: ['a', 'b'], status: 2, code: 'USAGE' },
    { why: 'an unknown format', args: ['a', '--format', 'xml'], status: 2, code: 'USAGE' },
    { why: 'an unknown option', args: ['a', '--fromat', 'csv'], status: 2, code: 'USAGE' },
    { why: 'no such file', args: ['/nowhere/a.pcap'], status: 3, code: 'CAPTURE_NOT_FOUND' },
    { why: 'no prefix', args: ['-', '--telescope', '203.0.113.1/24'], status: 2, code: 'ADDRESS_INVALID' },
  ])('$why', async ({ args, status, code }) => {
    const run = await hirundo(['packets', ...args])
    expect(run).toMatchObject({ status, stderr: expect.stringContaining(`[${code}]`) })
  })

  test('a text file, an empty file, a link type that is not read: status 3 and the reason', async () => {
    const codes = []
    for (const bytes of [Buffer.from('hello\n'), Buffer.from(''), pcap([{ frame: SYN }], { linkType: 147 })]) {
      const { status, stderr } = await hirundo(['packets', file(bytes)])
      codes.push(`${status} ${/\[(\w+)\]/.exec(stderr)?.[1]}`)
    }
    expect(codes).toEqual(['3 CAPTURE_FORMAT_UNKNOWN', '3 CAPTURE_EMPTY', '3 LINK_TYPE_UNSUPPORTED'])
  })

  test('a reader that goes away ends it quietly', async () => {
    const many = concat(pcap([]), ...Array<Uint8Array>(100_000).fill(pcapRecord({ frame: SYN })))
    const child = spawn(process.execPath, [`${ROOT}dist/bin/main.js`, 'packets', file(many)])
    let stderr = ''
    child.stderr.on('data', chunk => {
      stderr += chunk
    })
    child.stdout.once('data', () => child.stdout.destroy())
    const status = await new Promise(resolve => child.on('close', resolve))
    expect([status, stderr]).toEqual([0, ''])
  })
})

describe('a directory', () => {
  const later = pcap([{ frame: SYN, seconds: T + 100 }])

  function folder(): string {
    const path = temporaryFolder()
    writeFileSync(join(path, 'a-later.pcap'), later)
    writeFileSync(join(path, 'b-first.pcap.gz'), gzipSync(CAPTURE))
    writeFileSync(join(path, 'c-without-packets'), pcap([]))
    writeFileSync(join(path, 'notes.txt'), 'not a capture')
    writeFileSync(join(path, '.hidden.pcap'), CAPTURE)
    mkdirSync(join(path, 'below'))
    writeFileSync(join(path, 'below', 'x.pcap'), CAPTURE)
    symlinkSync(join(path, 'below', 'x.pcap'), join(path, 'd-link.pcap'))
    return path
  }

  test('stands for the captures in it, by content, in the order of their first packets', async () => {
    const path = folder()
    const names = ['b-first.pcap.gz', 'd-link.pcap', 'a-later.pcap', 'c-without-packets']
    expect(await listCaptures([path, '-'], () => {})).toEqual([...names.map(name => join(path, name)), '-'])
  })

  test('packets are numbered through', async () => {
    const { stdout } = await hirundo(['packets', folder()])
    const indexes = stdout
      .trimEnd()
      .split('\n')
      .slice(1)
      .map(line => Number(line.split(',')[0]))
    expect(indexes).toEqual([1, 2, 3, 4, 5, 6, 7])
  })

  test('without captures is an error', async () => {
    await expect(listCaptures([temporaryFolder()], () => {})).rejects.toMatchObject({ code: 'CAPTURE_NOT_FOUND' })
    await expect(listCaptures(['/nowhere'], () => {})).rejects.toMatchObject({ code: 'CAPTURE_NOT_FOUND' })
  })
})

describe('inspect', () => {
  test('--json tells what is in each capture', async () => {
    const cut = file(CUT, 'cut.pcap')
    const { status, stdout, stderr } = await hirundo(['inspect', file(CAPTURE), cut, '--json'])
    const { captures } = JSON.parse(stdout)
    expect([status, stderr, captures.length]).toEqual([3, '', 2])
    expect(captures[0]).toMatchObject({
      format: 'pcap',
      link_types: [{ number: 1, name: 'ethernet' }],
      packets: 3,
      bytes_captured: 138,
      bytes_on_wire: 138,
      first_packet: '2025-11-22T08:26:40Z',
      last_packet: '2025-11-22T08:26:42Z',
      classes: [
        { name: 'scan', packets: 1 },
        { name: 'backscatter', packets: 1 },
      ],
      protocols: [
        { name: 'tcp', packets: 1 },
        { name: 'udp', packets: 1 },
      ],
      ports: [
        { name: '23/tcp', packets: 1, backscatter: 0, service: 'telnet' },
        { name: '53/udp', packets: 1, backscatter: 1, service: 'domain' },
      ],
      sources: [{ name: '198.51.100.7', packets: 2, tools: [] }],
      source_count: 1,
      sources_capped: false,
      tools: [{ name: 'zmap', packets: 1 }],
      drops: [{ name: 'not_ip', packets: 1 }],
      likely_prefixes: [{ prefix: '203.0.113.0/24', packets: 2, destinations: 2, confidence: 'low' }],
      truncated: false,
      error: null,
    })
    expect(captures[1]).toMatchObject({ path: cut, packets: 2, truncated: true, error: { code: 'CAPTURE_TRUNCATED' } })
  })

  test('a source: k of n and the chance of its tools; UDP probes', async () => {
    const ntp = ethernet(0x0800, ipv4({ protocol: 17, id: 54_321 }, udp(40_000, 123, hex('e3'.padEnd(96, '0')))))
    const path = file(pcap([{ frame: SYN }, { frame: ntp }, { frame: ntp }, { frame: DNS }]))
    const { stdout } = await hirundo(['inspect', path, '--json'])
    const [{ sources, udp_probes }] = JSON.parse(stdout).captures
    // Three or more of four at 2^-16: 4 p^3 (1 - p) + p^4.
    const p = 2 ** -16
    const chance = expect.closeTo(4 * p ** 3 * (1 - p) + p ** 4, 20)
    expect(sources).toEqual([
      { name: '198.51.100.7', packets: 4, tools: [{ name: 'zmap', matched: 3, packets: 4, chance }] },
    ])
    expect(udp_probes).toEqual([
      { name: 'ntp-client', packets: 2 },
      { name: 'empty', packets: 1 },
    ])
    const text = (await hirundo(['inspect', path])).stdout
    expect(text).toMatch(/\n {2}198\.51\.100\.7 {2}4 {2}100\.0 % {2}█+\n {4}zmap 3 of 4 \(chance 1e-14\)\n/)
    expect(text).toMatch(/\nUDP probes, by their first bytes\n {2}ntp-client {2}2 {2}50\.0 % {2}█+\n {4}port 123, /)
  })

  test('text says the same to people', async () => {
    const { status, stdout } = await hirundo(['inspect', file(CAPTURE)])
    expect(status).toBe(0)
    for (const part of ['1 (ethernet)', 'scan', '23/tcp', 'zmap', 'not_ip', '203.0.113.0/24', '2 s later']) {
      expect(stdout).toContain(part)
    }
  })
})

test('what a directory holds besides captures is told, and why', async () => {
  const folder = temporaryFolder()
  writeFileSync(join(folder, 'a.pcap'), CAPTURE)
  writeFileSync(join(folder, 'b.pcap.bz2'), 'BZh91AY&SY')
  writeFileSync(join(folder, 'c.pcap'), new Uint8Array(64))
  writeFileSync(join(folder, 'empty.pcap'), '')
  const notes: string[] = []
  expect(await listCaptures([folder], line => notes.push(line))).toEqual([join(folder, 'a.pcap')])
  expect(notes).toEqual([
    `${join(folder, 'b.pcap.bz2')}: passed over: capture: first bytes 42 5a 68 39 31 41 59 26 are neither pcap, pcapng nor snoop: it is bzip2; decompress it with \`bzip2 -d\` [CAPTURE_FORMAT_UNKNOWN]`,
    expect.stringMatching(/c\.pcap: passed over: .* \[CAPTURE_FORMAT_UNKNOWN\]$/),
  ])
})
