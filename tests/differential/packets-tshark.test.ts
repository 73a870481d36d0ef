import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, test } from 'vitest'
import { isLinkTypeSupported } from '../../collector/link-type.ts'
import { Packet } from '../../collector/packet.ts'
import { PACKET_COLUMNS, packetCsv } from '../../collector/packet-line.ts'
import { readCapture } from '../../collector/read-capture.ts'
import { hasCommand, hasSharedCaptures, requireExternal, SHARED_CAPTURES } from '../support/external.ts'

// Goal: what `packets` prints equals what tshark dissects, packet for packet and column for column, on every real
// capture whose link types we read; on a damaged capture up to the break.
// Method: `tshark -T fields` with all reassembly off, mapped to our columns. Undamaged captures are concatenated by
// mergecap first, to start few processes; what is damaged or odd is dissected as it is. A tunnel or an ICMP error makes tshark
// print several values of a field: the first is that of the first IP header, and transport fields are taken only when
// the protocol of that header says so.

const TSHARK_FIELDS = [
  'frame.number',
  'frame.time_epoch',
  'frame.cap_len',
  'frame.len',
  'frame.encap_type',
  'frame.protocols',
  'ip.version',
  'ip.src',
  'ip.dst',
  'ip.proto',
  'ip.len',
  'ip.ttl',
  'ip.id',
  'ipv6.version',
  'ipv6.src',
  'ipv6.dst',
  'ipv6.nxt',
  'ipv6.plen',
  'ipv6.hlim',
  'ipv6.opt.jumbo',
  'ipv6.hopopts.nxt',
  'ipv6.routing.nxt',
  'ipv6.fraghdr.nxt',
  'ipv6.dstopts.nxt',
  'ah.next_header',
  'mip6.proto',
  'tcp.srcport',
  'tcp.dstport',
  'tcp.flags',
  'tcp.seq',
  'tcp.window_size_value',
  'udp.srcport',
  'udp.dstport',
  'icmp.type',
  'icmp.code',
  'icmpv6.type',
  'icmpv6.code',
] as const
type TsharkRow = Record<(typeof TSHARK_FIELDS)[number], string>

const TSHARK_OPTIONS = [
  'ip.defragment:FALSE',
  'ipv6.defragment:FALSE',
  'tcp.desegment_tcp_streams:FALSE',
  'tcp.analyze_sequence_numbers:FALSE',
  'tcp.relative_sequence_numbers:FALSE',
]

/** The header after an IPv6 extension header, by the number of that header. */
const NEXT_HEADER: Readonly<Record<string, keyof TsharkRow>> = {
  0: 'ipv6.hopopts.nxt',
  43: 'ipv6.routing.nxt',
  44: 'ipv6.fraghdr.nxt',
  51: 'ah.next_header',
  60: 'ipv6.dstopts.nxt',
  135: 'mip6.proto',
}

type Column = (typeof PACKET_COLUMNS)[number]
type OurRow = Record<Column, string>
/** What is ours alone, and the link type, for which tshark has numbers of its own. */
const NOT_COMPARED: ReadonlySet<Column> = new Set(['link_type', 'class', 'tools', 'drop'])
const COMPARED = PACKET_COLUMNS.filter(column => !NOT_COMPARED.has(column))

interface Exception {
  readonly file: string
  readonly packets: readonly number[]
  readonly columns: readonly Column[]
  readonly reason: string
}

const FRACTION = 'the fraction is a second or more: we add both fields up, tshark prints them side by side'
const TCP_CUT = 'the TCP header is cut: we use the fields that are there, tshark stops at the first that is not'
const TCP_OFFSET = 'the TCP data offset is below 5: tshark stops there, we read the fixed fields behind it'
const FCS =
  'the inner frame ends with its IPv6 header: tshark takes the last four bytes of it for a frame check sequence'

const EXCEPTIONS: readonly Exception[] = [
  { file: 'ndpi__fuzz-2021-10-13.pcap', packets: [1], columns: ['time'], reason: FRACTION },
  { file: 'tcpdump__timestamp_invalid_micro.pcap', packets: [2, 3], columns: ['time'], reason: FRACTION },
  { file: 'tcpdump__timestamp_invalid_nano.pcap', packets: [2, 3], columns: ['time'], reason: FRACTION },
  { file: 'ndpi__fuzz-2006-06-26-2594.pcap', packets: [86], columns: ['tcp_seq'], reason: TCP_CUT },
  {
    file: 'suricata__bug-6887-defrag-ppp-ipv4-tcp-syn__frag-ppp-ip-tcp-syn.pcap',
    packets: [1],
    columns: ['tcp_seq'],
    reason: TCP_CUT,
  },
  {
    file: 'ndpi__ip_fragmented_garbage.pcap',
    packets: [1, 940],
    columns: ['tcp_flags', 'tcp_window'],
    reason: TCP_OFFSET,
  },
  { file: 'ndpi__kerberos_fuzz.pcapng', packets: [1], columns: ['tcp_flags', 'tcp_window'], reason: TCP_OFFSET },
  {
    file: 'zeek__ipv4-internally-truncated-header.pcap',
    packets: [1],
    columns: ['dst'],
    reason: 'the IP options are cut: tshark prints no destination, although the capture holds it',
  },
  {
    file: 'zeek__cisco-fabric-path.pcap',
    packets: [114, 116, 118, 120, 122, 124, 126, 128],
    columns: ['dst'],
    reason: FCS,
  },
  {
    file: 'suricata__bug-6875-01__fuzz.pcap',
    packets: [1],
    columns: COMPARED,
    reason: 'record 2 is impossible: tshark concludes that all record headers are 8 bytes longer; we keep record 1',
  },
]

const isPresent =
  requireExternal('tshark and mergecap', hasCommand('tshark') && hasCommand('mergecap')) &&
  requireExternal('../shared/captures', hasSharedCaptures())
/** tshark takes 0.2 s to start: undamaged captures are put behind one another and dissected together. */
const CAPTURES_TOGETHER = 40

async function runTshark(path: string): Promise<TsharkRow[]> {
  const args = ['-n', '-r', path, '-T', 'fields', '-E', 'separator=/t', '-E', 'occurrence=f']
  for (const option of TSHARK_OPTIONS) args.push('-o', option)
  for (const field of TSHARK_FIELDS) args.push('-e', field)
  // A damaged capture makes tshark exit with 2 after it printed what came before.
  const { stdout } = await promisify(execFile)('tshark', args, { maxBuffer: 2 ** 28 }).catch(
    (error: { stdout?: string; code?: unknown }) => {
      if (error.code !== 2) throw error
      return { stdout: error.stdout ?? '' }
    },
  )
  const lines = stdout.split('\n').filter(line => line !== '')
  const rows = lines.map(line => {
    const values = line.split('\t')
    return Object.fromEntries(TSHARK_FIELDS.map((field, index) => [field, values[index] ?? ''])) as TsharkRow
  })
  // tshark counts blocks that hold no packet (custom blocks) as frames; they have no link type.
  return rows.filter(row => row['frame.encap_type'] !== '')
}

/** The rows of each capture; when the counts do not fit, each is dissected alone, and the comparison tells which. */
async function runTsharkTogether(captures: readonly OurCapture[]): Promise<TsharkRow[][]> {
  const folder = mkdtempSync(join(tmpdir(), 'hirundo-'))
  try {
    const merged = join(folder, 'merged.pcapng')
    const paths = captures.map(({ file }) => SHARED_CAPTURES + file)
    await promisify(execFile)('mergecap', ['-a', '-F', 'pcapng', '-w', merged, ...paths])
    const rows = await runTshark(merged)
    if (rows.length !== captures.reduce((sum, capture) => sum + capture.rows.length, 0)) {
      return await Promise.all(paths.map(runTshark))
    }
    return captures.map(capture => rows.splice(0, capture.rows.length))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function decimal(text: string): string {
  return text === '' ? '' : String(Number(text))
}

/** tshark's fields as our columns; everything empty is a field that tshark did not reach. */
function mapRow(row: TsharkRow, index: number): Partial<OurRow> {
  const first = row['frame.protocols'].split(':').find(name => name === 'ip' || name === 'ipv6')
  const ours: Partial<OurRow> = {}
  for (const column of COMPARED) ours[column] = ''
  ours.index = String(index)
  ours.time = row['frame.time_epoch']
  ours.caplen = row['frame.cap_len']
  ours.len = row['frame.len']
  if (first === 'ip') mapIpv4(row, ours)
  else if (first === 'ipv6') mapIpv6(row, ours)
  mapTransport(row, ours)
  return ours
}

function mapIpv4(row: TsharkRow, ours: Partial<OurRow>): void {
  // tshark shows the version field of whatever stands behind the IPv4 ethertype.
  if (row['ip.version'] !== '4') return
  ours.ip_version = '4'
  ours.src = row['ip.src']
  ours.dst = row['ip.dst']
  ours.protocol = row['ip.proto']
  ours.ip_length = row['ip.len']
  ours.ttl = row['ip.ttl']
  ours.ip_id = decimal(row['ip.id'])
}

function mapIpv6(row: TsharkRow, ours: Partial<OurRow>): void {
  if (row['ipv6.version'] !== '6') return
  ours.ip_version = '6'
  ours.src = row['ipv6.src']
  ours.dst = row['ipv6.dst']
  ours.ttl = row['ipv6.hlim']
  const length = row['ipv6.opt.jumbo'] || row['ipv6.plen']
  ours.ip_length = length === '' ? '' : String(Number(length) + 40)
  ours.protocol = row['ipv6.nxt']
  const seen = new Set<string>()
  for (let field = NEXT_HEADER[ours.protocol]; field && row[field] !== ''; field = NEXT_HEADER[ours.protocol]) {
    if (seen.has(field)) break
    seen.add(field)
    ours.protocol = decimal(row[field])
  }
}

function mapTransport(row: TsharkRow, ours: Partial<OurRow>): void {
  if (ours.protocol === '6') {
    ours.src_port = row['tcp.srcport']
    ours.dst_port = row['tcp.dstport']
    ours.tcp_flags = decimal(row['tcp.flags'])
    ours.tcp_seq = row['tcp.seq']
    ours.tcp_window = row['tcp.window_size_value']
  } else if (ours.protocol === '17') {
    ours.src_port = row['udp.srcport']
    ours.dst_port = row['udp.dstport']
  } else if (ours.protocol === '1') {
    ours.icmp_type = row['icmp.type']
    ours.icmp_code = row['icmp.code']
  } else if (ours.protocol === '58') {
    ours.icmp_type = row['icmpv6.type']
    ours.icmp_code = row['icmpv6.code']
  }
}

interface OurCapture {
  readonly file: string
  readonly rows: readonly OurRow[]
  readonly isDamaged: boolean
  /** Why the capture is not compared; null when it is. */
  readonly outside: string | null
}

async function readOurs(file: string): Promise<OurCapture> {
  const rows: OurRow[] = []
  const take = (packet: Packet): void => {
    const values = packetCsv(packet).split(',')
    rows.push(Object.fromEntries(PACKET_COLUMNS.map((column, index) => [column, values[index] ?? ''])) as OurRow)
  }
  const result = await readCapture(SHARED_CAPTURES + file, new Packet(), take)
  const foreign = result.linkTypes.find(linkType => !isLinkTypeSupported(linkType))
  const outside =
    result.format === null ? (result.error?.code ?? '') : foreign === undefined ? null : `link type ${foreign}`
  return { file, rows, isDamaged: result.error !== null, outside }
}

/** Merging rewrites records, so what is odd is dissected as it is. */
function isMergeable({ file, rows, isDamaged }: OurCapture): boolean {
  return !isDamaged && rows.every(({ time }) => time !== '') && EXCEPTIONS.every(exception => exception.file !== file)
}

interface Comparison {
  readonly file: string
  readonly packets: number
  /** `packet 3 src: tshark "…", ours "…"`, exceptions left out. */
  readonly differences: readonly string[]
  readonly usedExceptions: readonly string[]
}

function compare({ file, rows, isDamaged }: OurCapture, theirs: readonly TsharkRow[]): Comparison {
  const differences: string[] = []
  const usedExceptions: string[] = []
  if (!isDamaged && rows.length !== theirs.length) {
    differences.push(`tshark has ${theirs.length} packets, ours are ${rows.length}`)
  }
  const packets = Math.min(rows.length, theirs.length)
  for (let at = 0; at < packets; at++) {
    const expected = mapRow(theirs[at]!, at + 1)
    for (const column of COMPARED) {
      if (rows[at]![column] === expected[column]) continue
      const exception = EXCEPTIONS.find(
        entry => entry.file === file && entry.packets.includes(at + 1) && entry.columns.includes(column),
      )
      if (exception) usedExceptions.push(`${file} ${at + 1} ${column}`)
      else differences.push(`packet ${at + 1} ${column}: tshark "${expected[column]}", ours "${rows[at]![column]}"`)
    }
  }
  return { file, packets, differences, usedExceptions }
}

async function compareAll(captures: readonly OurCapture[]): Promise<Comparison[]> {
  const comparisons: Comparison[] = []
  const mergeable = captures.filter(isMergeable)
  for (let from = 0; from < mergeable.length; from += CAPTURES_TOGETHER) {
    const together = mergeable.slice(from, from + CAPTURES_TOGETHER)
    const theirs = await runTsharkTogether(together)
    comparisons.push(...together.map((capture, index) => compare(capture, theirs[index]!)))
  }
  for (const capture of captures) {
    if (!isMergeable(capture)) comparisons.push(compare(capture, await runTshark(SHARED_CAPTURES + capture.file)))
  }
  return comparisons
}

describe.skipIf(!isPresent)('packets against tshark', () => {
  const captures: OurCapture[] = []
  let comparisons: Comparison[] = []

  beforeAll(async () => {
    const manifest = readFileSync(`${SHARED_CAPTURES}MANIFEST.tsv`, 'utf8').trimEnd().split('\n').slice(1)
    for (const line of manifest) captures.push(await readOurs(line.split('\t')[0]!))
    comparisons = await compareAll(captures.filter(({ outside }) => outside === null))
  }, 120_000)

  test('every packet and column is equal', () => {
    const wrong = comparisons.filter(({ differences }) => differences.length > 0)
    expect(wrong.map(({ file, differences }) => ({ file, differences: differences.slice(0, 10) }))).toEqual([])
  })

  test('nothing is left out but other link types and other formats', () => {
    const reasons = captures.map(({ outside }) => outside ?? '').filter(outside => outside !== '')
    const known = /^(link type \d+|CAPTURE_FORMAT_UNKNOWN|CAPTURE_VERSION_UNSUPPORTED|CAPTURE_HEADER_INVALID)$/
    expect(reasons.filter(reason => !known.test(reason))).toEqual([])
    expect(comparisons.length).toBeGreaterThanOrEqual(187)
    expect(comparisons.reduce((sum, { packets }) => sum + packets, 0)).toBeGreaterThan(45_000)
  })

  test('every exception is still needed', () => {
    const used = new Set(comparisons.flatMap(({ usedExceptions }) => usedExceptions))
    const stale = EXCEPTIONS.flatMap(({ file, packets }) =>
      packets
        .filter(packet => ![...used].some(key => key.startsWith(`${file} ${packet} `)))
        .map(packet => [file, packet]),
    )
    expect(stale).toEqual([])
  })
})
