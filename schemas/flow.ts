import type { Column, Table } from './column.ts'
import { TRAFFIC_CLASSES } from './protocol.ts'
import { SPOOF_BITS, TOOLS, type ToolName, toolColumn } from './tool.ts'
import { UDP_PROBE_NAMES } from './udp-probe.ts'

/** Raised when a column of a batch changes meaning or leaves; a batch with another version is refused. */
export const SCHEMA_VERSION = 1

type ToolColumns = Record<`${string}_count`, Column>

/**
 * Packets in one flow at most; a key with more has several flows. Small counters are a third of a batch's bytes, and
 * nearly every flow that reaches a telescope has one packet.
 */
export const PACKETS_PER_FLOW_MAX = 255

/** One counting column a tool, for flows (uint8) and for what is summed from them. */
export function toolColumns(type: 'uint8' | 'uint32' = 'uint32'): ToolColumns {
  const columns: ToolColumns = {}
  for (const tool of TOOLS) {
    columns[toolColumn(tool.name as ToolName)] = {
      type,
      role: 'measure',
      sharing: 'members',
      doc: `Packets that fit ${tool.name}: ${tool.rule} (${tool.source}).`,
    }
  }
  return columns
}

function spoofColumns(): Record<string, Column> {
  return Object.fromEntries(
    SPOOF_BITS.map(({ name, doc }): [string, Column] => [
      `spoof_${name}_count`,
      {
        type: 'uint8',
        role: 'measure',
        sharing: 'members',
        doc: `Packets with this sign of a forged source: ${doc}.`,
      },
    ]),
  )
}

/**
 * A flow: packets of one interval that share all key columns. Several rows may have one key, in one batch or in
 * several: sum them.
 */
export const FLOW = {
  interval_start: {
    type: 'timestamp_us',
    role: 'key',
    sharing: 'members',
    doc: 'Start of the 60 s interval, UTC, inclusive, by the clock of the capture.',
  },
  ip_version: { type: 'uint8', role: 'key', sharing: 'public', doc: '4 or 6.' },
  src_addr: { type: 'ip_addr', role: 'key', sharing: 'members', doc: 'Who sent the packets.' },
  dst_index: {
    type: 'bits64',
    role: 'key',
    sharing: 'withheld',
    doc: 'Place of the destination in the keyed permutation of the addresses of the sensor (IPv4), or a 64-bit keyed hash (IPv6).',
  },
  protocol: {
    type: 'uint8',
    role: 'key',
    sharing: 'public',
    doc: 'IANA protocol number of the innermost header reached (6 TCP, 17 UDP, 1 ICMP, 58 ICMPv6).',
  },
  service_port: {
    type: 'uint16',
    role: 'key',
    sharing: 'public',
    doc: 'Port that names the service: destination port, for backscatter source port; ICMP: type * 256 + code; 0 where there is none.',
  },
  class: {
    type: 'uint8',
    role: 'key',
    sharing: 'public',
    names: TRAFFIC_CLASSES,
    doc: 'Traffic class: scan, backscatter or other.',
  },
  tcp_flags: {
    type: 'uint16',
    role: 'key',
    sharing: 'members',
    doc: 'The twelve flag and reserved bits of the TCP header; 0 for other protocols.',
  },
  ttl: { type: 'uint8', role: 'key', sharing: 'members', doc: 'TTL or hop limit on arrival.' },
  syn_profile: {
    type: 'bits64',
    role: 'key',
    sharing: 'members',
    doc: 'Compact profile of a scan SYN: bits 0-15 window, 16-31 MSS (0 none), 32-35 window scale (15 none), 36 DF, 37-38 TTL bucket (32, 64, 128, 255), 39-62 kinds of the first six options, 4 bits each, 63 more options or cut short; 0 for other packets.',
  },
  victim_addr: {
    type: 'ip_addr',
    role: 'key',
    sharing: 'members',
    doc: 'Destination of the packet quoted in an ICMP error; all zero otherwise.',
  },
  peer_port: {
    type: 'uint16',
    role: 'key',
    sharing: 'members',
    doc: 'Backscatter: the port on our side, to which the reply was sent; 0 otherwise.',
  },
  slot: {
    type: 'uint8',
    role: 'key',
    sharing: 'members',
    doc: 'Backscatter: 10-second slot of the interval, 0 to 5; 0 otherwise.',
  },
  udp_probe: {
    type: 'uint8',
    role: 'key',
    sharing: 'members',
    names: UDP_PROBE_NAMES,
    doc: 'The request that a UDP payload is, by its signature; none for other packets and where nothing is known.',
  },
  packet_count: { type: 'uint8', role: 'measure', sharing: 'members', doc: 'Packets, 1 to 255.' },
  byte_count: { type: 'uint32', role: 'measure', sharing: 'members', doc: 'Sum of the IP total lengths, in bytes.' },
  first_second: {
    type: 'uint8',
    role: 'measure',
    sharing: 'members',
    doc: 'Second of the interval of the earliest packet, 0 to 59.',
  },
  duration_seconds: {
    type: 'uint8',
    role: 'measure',
    sharing: 'members',
    doc: 'Whole seconds from the second of the earliest packet to that of the latest, 0 to 59.',
  },
  ...toolColumns('uint8'),
  ...spoofColumns(),
  fragment_count: { type: 'uint8', role: 'measure', sharing: 'members', doc: 'Packets that are IP fragments.' },
  src_port_sample: {
    type: 'uint16',
    role: 'note',
    sharing: 'members',
    doc: 'Scans: source port of the first packet of the flow; 0 otherwise. No key, because tools randomise it.',
  },
} as const satisfies Table

/** A flow in the lake: which sensor and which upload it came from stand beside it. */
export const LAKE_FLOW = {
  sensor: { type: 'text', role: 'key', sharing: 'members', doc: 'Sensor that recorded it.' },
  telescope_epoch: {
    type: 'uint16',
    role: 'key',
    sharing: 'members',
    doc: 'Epoch of the sensor; destination indices are never compared across epochs.',
  },
  ...FLOW,
  upload_id: {
    type: 'uint32',
    role: 'note',
    sharing: 'withheld',
    doc: 'The upload it came with, as in its receipt; 0 in files of versions that kept none.',
  },
} as const satisfies Table
