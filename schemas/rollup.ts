import type { Table } from './column.ts'
import { toolColumns } from './flow.ts'
import { TRAFFIC_CLASSES } from './protocol.ts'

const HOUR_KEYS = {
  bucket_start: { type: 'timestamp_us', role: 'key', sharing: 'public', doc: 'Start of the hour, UTC, inclusive.' },
  sensor: { type: 'text', role: 'key', sharing: 'members', doc: 'Sensor that recorded it.' },
  ip_version: { type: 'uint8', role: 'key', sharing: 'public', doc: '4 or 6.' },
  class: { type: 'uint8', role: 'key', sharing: 'public', names: TRAFFIC_CLASSES, doc: 'Traffic class.' },
  protocol: { type: 'uint8', role: 'key', sharing: 'public', doc: 'IANA protocol number.' },
  service_port: { type: 'uint16', role: 'key', sharing: 'public', doc: 'Service port, as in the flow.' },
} as const satisfies Table

const SUMS = {
  packet_count: { type: 'uint64', role: 'measure', sharing: 'public', doc: 'Packets.' },
  byte_count: { type: 'uint64', role: 'measure', sharing: 'public', doc: 'Sum of the IP total lengths, in bytes.' },
} as const satisfies Table

/*
 * Rows of one key may stand several times in a rollup, once a counted group that held some of its flows, as flows do
 * in the lake: every query sums.
 */

/** Hourly sums per service. */
export const TRAFFIC_HOUR = { ...HOUR_KEYS, ...SUMS } as const satisfies Table

/**
 * Hourly sums per source: what exact distinct counts over any range of hours are made from. Distinct counts do not
 * add up, so none is stored.
 */
export const SOURCE_HOUR = {
  ...HOUR_KEYS,
  src_addr: { type: 'ip_addr', role: 'key', sharing: 'members', doc: 'Who sent the packets.' },
  ...SUMS,
  ...toolColumns(),
} as const satisfies Table

/** Hourly sums per sensor: what the usual rate, coverage and the range with data are read from. */
export const SENSOR_HOUR = {
  bucket_start: HOUR_KEYS.bucket_start,
  sensor: HOUR_KEYS.sensor,
  ip_version: HOUR_KEYS.ip_version,
  ...SUMS,
} as const satisfies Table
