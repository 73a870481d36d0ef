import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Packet } from '../../collector/packet.ts'
import { PACKET_COLUMNS, packetCsv } from '../../collector/packet-line.ts'

// What tshark dissects, as the columns of `packets`. Reassembly is off: each packet is for itself.

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
export type TsharkRow = Record<(typeof TSHARK_FIELDS)[number], string>

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

export type Column = (typeof PACKET_COLUMNS)[number]
export type OurRow = Record<Column, string>
/** A packet as `packets` prints it. */
export function ourRow(packet: Packet): OurRow {
  const values = packetCsv(packet).split(',')
  return Object.fromEntries(PACKET_COLUMNS.map((column, index) => [column, values[index] ?? ''])) as OurRow
}

/** What is ours alone, and the link type, for which tshark has numbers of its own. */
const NOT_COMPARED: ReadonlySet<Column> = new Set(['link_type', 'class', 'tools', 'drop'])
/** The columns that tshark knows of. */
export const COMPARED = PACKET_COLUMNS.filter(column => !NOT_COMPARED.has(column))

/**
 * The packets of a capture, up to where it is damaged.
 * @param occurrence of a field that several layers have: the first, or all with commas between
 */
export async function runTshark(path: string, occurrence: 'f' | 'a' = 'f'): Promise<TsharkRow[]> {
  const args = ['-n', '-r', path, '-T', 'fields', '-E', 'separator=/t', '-E', `occurrence=${occurrence}`]
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

function decimal(text: string): string {
  return text === '' ? '' : String(Number(text))
}

/** tshark's fields as our columns; everything empty is a field that tshark did not reach. */
export function mapRow(row: TsharkRow, index: number): Partial<OurRow> {
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
