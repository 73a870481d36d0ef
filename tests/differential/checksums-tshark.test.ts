import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { VERIFY_CHECKSUMS } from '../../collector/decode-options.ts'
import { Packet } from '../../collector/packet.ts'
import { readCapture } from '../../collector/read-capture.ts'
import { DROP_REASON_NAMES } from '../../schemas/drop-reason.ts'
import { hasCommand, hasSharedCaptures, requireExternal, SHARED_CAPTURES } from '../support/external.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// Goal: --verify-checksums drops a packet exactly when tshark calls the checksum of its first IP header, or of what
// that carries, bad.
// Method: undamaged Ethernet captures behind one another, dissected by tshark with all checks on.

const FIELDS = [
  'frame.protocols',
  'ip.checksum.status',
  'tcp.checksum.status',
  'udp.checksum.status',
  'icmp.checksum.status',
  'icmpv6.checksum.status',
] as const
const OPTIONS = [
  'ip.check_checksum:TRUE',
  'tcp.check_checksum:TRUE',
  'udp.check_checksum:TRUE',
  'ip.defragment:FALSE',
  'ipv6.defragment:FALSE',
  'tcp.desegment_tcp_streams:FALSE',
]
const BAD = '0'
const TRANSPORT: Readonly<Record<number, number>> = { 6: 2, 17: 3, 1: 4, 58: 5 }

/**
 * tshark judges what there is of an IP packet that is longer than its frame. In the first two, part of it is not there,
 * so we do not judge. In the last, only the PPPoE header says so: by the IP length the checksum is right.
 */
const LONGER_THAN_FRAME: Readonly<Record<string, readonly number[]>> = {
  'ndpi__telnet.pcap': [18, 32, 52, 70, 78],
  'suricata__output-eve-anomaly-packethdr__anomaly.pcap': [13, 30],
  'zeek__pppoe-over-qinq.pcap': [19, 33, 41, 47, 63, 81],
}
/** Small enough that a test takes seconds, and with tens of thousands of packets all the same. */
const CAPTURE_BYTES_MAX = 2_000_000

interface Judged {
  readonly drop: string
  readonly protocol: number
  readonly isGood: boolean
}

async function readOurs(path: string): Promise<Judged[]> {
  const plain: boolean[] = []
  const rows: Judged[] = []
  await readCapture(path, new Packet(), ({ drop }) => void plain.push(drop < 0))
  const packet = new Packet()
  packet.decodeOptions = VERIFY_CHECKSUMS
  const result = await readCapture(path, packet, ({ drop, protocol }) => {
    rows.push({ drop: DROP_REASON_NAMES[drop] ?? '', protocol, isGood: plain[rows.length]! })
  })
  return result.error === null ? rows : []
}

async function runTshark(path: string): Promise<string[][]> {
  const args = ['-n', '-r', path, '-T', 'fields', '-E', 'separator=/t', '-E', 'occurrence=f']
  for (const option of OPTIONS) args.push('-o', option)
  for (const field of FIELDS) args.push('-e', field)
  const { stdout } = await promisify(execFile)('tshark', args, { maxBuffer: 2 ** 28 })
  return stdout
    .split('\n')
    .slice(0, -1)
    .map(line => line.split('\t'))
}

function expectedDrop(row: readonly string[], protocol: number): string {
  const first = row[0]!.split(':').find(name => name === 'ip' || name === 'ipv6')
  if (first === 'ip' && row[1] === BAD) return 'ip_checksum_invalid'
  return row[TRANSPORT[protocol] ?? -1] === BAD ? 'transport_checksum_invalid' : ''
}

const newFolder = temporaryFolders()
const isPresent =
  requireExternal('tshark and mergecap', hasCommand('tshark') && hasCommand('mergecap')) &&
  requireExternal('../shared/captures', hasSharedCaptures())

describe.skipIf(!isPresent)('checksums against tshark', () => {
  test('every packet', async () => {
    const manifest = readFileSync(`${SHARED_CAPTURES}MANIFEST.tsv`, 'utf8').trimEnd().split('\n').slice(1)
    const files: string[] = []
    const ours: (Judged & { readonly place: string })[] = []
    for (const line of manifest) {
      const [file, , , , , linkType, packets, bytes] = line.split('\t')
      if (linkType !== '1:ethernet' || !/^\d+$/.test(packets!) || Number(bytes) > CAPTURE_BYTES_MAX) continue
      const rows = await readOurs(SHARED_CAPTURES + file)
      if (rows.length !== Number(packets)) continue
      files.push(file!)
      for (const [at, row] of rows.entries()) ours.push({ ...row, place: `${file} ${at + 1}` })
    }
    const merged = join(newFolder(), 'merged.pcapng')
    await promisify(execFile)('mergecap', [
      ...['-a', '-F', 'pcapng', '-w', merged],
      ...files.map(file => SHARED_CAPTURES + file),
    ])
    const theirs = await runTshark(merged)
    expect(theirs.length).toBe(ours.length)
    const exceptions = Object.entries(LONGER_THAN_FRAME).flatMap(([file, packets]) =>
      packets.map(at => `${file} ${at}`),
    )
    const differences = ours.flatMap(({ drop, protocol, isGood, place }, at) => {
      const expected = expectedDrop(theirs[at]!, protocol)
      return isGood && drop !== expected ? [`${place}: tshark "${expected}", ours "${drop}"`] : []
    })
    const excepted = differences.filter(text => exceptions.some(place => text.startsWith(`${place}:`)))
    expect(differences.filter(text => !excepted.includes(text))).toEqual([])
    expect(excepted.length).toBe(exceptions.length)
    const count = (reason: string): number => ours.filter(({ drop }) => drop === reason).length
    expect(count('')).toBeGreaterThan(10_000)
    expect(count('ip_checksum_invalid')).toBeGreaterThan(5)
    expect(count('transport_checksum_invalid')).toBeGreaterThan(100)
  }, 240_000)
})
