import type { Row, Table } from './column.ts'

/** Tables of the hub's catalog, besides rollups. */

export const SENSOR = {
  sensor: {
    type: 'text',
    role: 'key',
    sharing: 'members',
    doc: 'Name of the sensor: lower-case letters, digits and hyphens, 1 to 32 characters.',
  },
  economy: { type: 'text', role: 'note', sharing: 'members', doc: 'Economy the sensor is in, ISO 3166-1 alpha-2.' },
  organisation: { type: 'text', role: 'note', sharing: 'members', doc: 'Organisation that owns the sensor.' },
  telescope: { type: 'text', role: 'note', sharing: 'withheld', doc: 'Dark prefixes, separated by commas.' },
  telescope_epoch: {
    type: 'uint16',
    role: 'note',
    sharing: 'members',
    doc: 'Counts changes of prefixes or key, from 1.',
  },
  ipv4_addr_count: { type: 'uint32', role: 'note', sharing: 'members', doc: 'Dark IPv4 addresses.' },
  has_ipv6: { type: 'boolean', role: 'note', sharing: 'members', doc: 'Whether a dark prefix is IPv6.' },
  created_at: { type: 'timestamp_us', role: 'note', sharing: 'members', doc: 'When it was registered.' },
} as const satisfies Table

/** Roles of a token. sensor: uploads for one sensor; analyst: reads; coordinator: both, and administers. */
export const TOKEN_ROLES = ['sensor', 'analyst', 'coordinator'] as const
export type TokenRole = (typeof TOKEN_ROLES)[number]

export const TOKEN = {
  token_sha256: {
    type: 'text',
    role: 'key',
    sharing: 'withheld',
    doc: 'SHA-256 of the token, hexadecimal; the token itself is shown once and never kept.',
  },
  token_id: {
    type: 'text',
    role: 'note',
    sharing: 'members',
    doc: 'Short public name of the token, for lists and revocation.',
  },
  role: { type: 'uint8', role: 'note', sharing: 'members', names: TOKEN_ROLES, doc: 'What the token allows.' },
  sensor: {
    type: 'text',
    role: 'note',
    sharing: 'members',
    nullable: true,
    doc: 'The one sensor it speaks for; null for other roles.',
  },
  created_at: { type: 'timestamp_us', role: 'note', sharing: 'members', doc: 'When it was made.' },
  revoked_at: {
    type: 'timestamp_us',
    role: 'note',
    sharing: 'members',
    nullable: true,
    doc: 'When it was revoked; null while valid.',
  },
} as const satisfies Table

export const UPLOAD_KINDS = ['capture', 'batch'] as const
export type UploadKind = (typeof UPLOAD_KINDS)[number]
/**
 * received: durable; counted: in lake and rollups; quarantined: could not be read, bytes kept, reason given; held: holds
 * what another upload of the sensor holds, waits for the operator; withdrawn: taken out of the numbers by the operator.
 */
export const RECEIPT_STATES = ['received', 'counted', 'quarantined', 'held', 'withdrawn'] as const
export type ReceiptState = (typeof RECEIPT_STATES)[number]

export const RECEIPT = {
  sensor: { type: 'text', role: 'key', sharing: 'members', doc: 'Sensor that sent it.' },
  sha256: {
    type: 'text',
    role: 'key',
    sharing: 'members',
    doc: 'SHA-256 of the bytes as sent, hexadecimal; with the sensor the identity of the upload.',
  },
  kind: { type: 'uint8', role: 'note', sharing: 'members', names: UPLOAD_KINDS, doc: 'Raw capture or batch.' },
  state: { type: 'uint8', role: 'note', sharing: 'members', names: RECEIPT_STATES, doc: 'How far it has come.' },
  byte_count: { type: 'uint64', role: 'measure', sharing: 'members', doc: 'Bytes as sent.' },
  received_at: { type: 'timestamp_us', role: 'note', sharing: 'members', doc: 'When the bytes were durable.' },
  counted_at: {
    type: 'timestamp_us',
    role: 'note',
    sharing: 'members',
    nullable: true,
    doc: 'When it was in the numbers.',
  },
  content_sha256: {
    type: 'text',
    role: 'note',
    sharing: 'members',
    nullable: true,
    doc: 'SHA-256 of the decompressed content; the same content again adds no rows.',
  },
  duplicate_of: {
    type: 'text',
    role: 'note',
    sharing: 'members',
    nullable: true,
    doc: 'SHA-256 of the earlier upload of this sensor with the same content.',
  },
  packet_count: { type: 'uint64', role: 'measure', sharing: 'members', nullable: true, doc: 'Packets read.' },
  packet_kept_count: {
    type: 'uint64',
    role: 'measure',
    sharing: 'members',
    nullable: true,
    doc: 'Packets that joined a flow.',
  },
  drops: {
    type: 'json',
    role: 'note',
    sharing: 'members',
    nullable: true,
    doc: 'Packets per drop reason; kept + drops = read.',
  },
  first_packet: { type: 'timestamp_us', role: 'note', sharing: 'members', nullable: true, doc: 'Earliest packet.' },
  last_packet: { type: 'timestamp_us', role: 'note', sharing: 'members', nullable: true, doc: 'Latest packet.' },
  error_code: {
    type: 'text',
    role: 'note',
    sharing: 'members',
    nullable: true,
    doc: 'What was wrong with it, if anything; a capture that is cut short is counted as far as it goes.',
  },
  error_message: { type: 'text', role: 'note', sharing: 'members', nullable: true, doc: 'The same for people.' },
  upload_id: {
    type: 'uint32',
    role: 'note',
    sharing: 'withheld',
    doc: 'Number under which its flows lie in the lake, rising in the order of arrival; 0 for uploads of versions that kept none.',
  },
  key_check: {
    type: 'text',
    role: 'note',
    sharing: 'withheld',
    nullable: true,
    doc: 'Tells whether two uploads have their destinations numbered by the same key; null where the sender does not say.',
  },
  overlaps_with: {
    type: 'text',
    role: 'note',
    sharing: 'members',
    nullable: true,
    doc: 'While it is held: SHA-256 of uploads of this sensor that hold the same traffic, at most eight, separated by commas.',
  },
  accepted_at: {
    type: 'timestamp_us',
    role: 'note',
    sharing: 'members',
    nullable: true,
    doc: 'When the operator last said that it counts although it overlaps.',
  },
  spool: {
    type: 'text',
    role: 'note',
    sharing: 'members',
    nullable: true,
    doc: 'Spool of the sensor that numbered it, 8 hexadecimal digits; null when it has no number.',
  },
  sequence: {
    type: 'uint64',
    role: 'note',
    sharing: 'members',
    nullable: true,
    doc: 'Its number in that spool, from 1 without a gap.',
  },
  clock_skew_seconds: {
    type: 'float64',
    role: 'measure',
    sharing: 'members',
    nullable: true,
    doc: "The sensor's clock minus the hub's when the upload began, seconds, as the Date header of the request says: so to a second, and the way of the request. Null when it does not say.",
  },
} as const satisfies Table
export type Receipt = Row<typeof RECEIPT>

/**
 * Where a receipt stands. An index on the digests of a year of receipts would take more memory than the hub has, so
 * heads of them lie sorted in large runs (receipt_key), and the newest with an index (receipt_key_recent).
 */
export const RECEIPT_KEY = {
  digest_head: {
    type: 'bits64',
    role: 'key',
    sharing: 'withheld',
    doc: 'First 64 bits of the SHA-256 of the upload, or of its content; the receipt itself has all of it.',
  },
  received_at: {
    type: 'timestamp_us',
    role: 'note',
    sharing: 'withheld',
    doc: 'received_at of the receipt: receipts lie in this order, so it leads to few of them.',
  },
} as const satisfies Table

/** Manifest of the lake: a Parquet file is data only while it is named here. */
export const LAKE_FILE = {
  path: { type: 'text', role: 'key', sharing: 'withheld', doc: 'Path below the lake folder.' },
  day: { type: 'timestamp_us', role: 'note', sharing: 'withheld', doc: 'UTC day of its flows.' },
  row_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Flows.' },
  packet_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Packets.' },
  byte_count: { type: 'uint64', role: 'measure', sharing: 'withheld', doc: 'Size of the file.' },
  sha256: {
    type: 'text',
    role: 'note',
    sharing: 'withheld',
    doc: 'SHA-256 of the file, hexadecimal, for verify; empty for files that were written before it was kept.',
  },
  created_at: { type: 'timestamp_us', role: 'note', sharing: 'withheld', doc: 'When it was committed.' },
  is_sorted: {
    type: 'boolean',
    role: 'note',
    sharing: 'withheld',
    nullable: true,
    doc: 'False while its flows stand as they came, which takes more room; compaction sorts them. Null in rows of versions that always sorted.',
  },
} as const satisfies Table

export const SPAN_BASES = ['declared', 'inferred'] as const
export type SpanBasis = (typeof SPAN_BASES)[number]

/** Listened spans of a sensor, one row a span of one upload. */
export const COVERAGE_SPAN = {
  sensor: { type: 'text', role: 'key', sharing: 'members', doc: 'Sensor that listened.' },
  sha256: { type: 'text', role: 'key', sharing: 'members', doc: 'Upload that says so.' },
  listened_from: { type: 'timestamp_us', role: 'key', sharing: 'members', doc: 'Start of the span, inclusive.' },
  listened_to: { type: 'timestamp_us', role: 'note', sharing: 'members', doc: 'End of the span, exclusive.' },
  basis: {
    type: 'uint8',
    role: 'note',
    sharing: 'members',
    names: SPAN_BASES,
    doc: 'declared by the sensor, or inferred from the packets.',
  },
  packet_count: { type: 'uint64', role: 'measure', sharing: 'members', doc: 'Packets kept within the span.' },
} as const satisfies Table

/** Enrichment: the economy of a source by the geography in use. Never part of lake files, so that it can be redone. */
export const SOURCE_ECONOMY = {
  src_addr: { type: 'ip_addr', role: 'key', sharing: 'members', doc: 'Source.' },
  economy: {
    type: 'text',
    role: 'note',
    sharing: 'members',
    doc: 'ISO 3166-1 alpha-2; ZZ when the geography does not know it.',
  },
  geography: { type: 'text', role: 'note', sharing: 'members', doc: 'Name and date of the geography table used.' },
} as const satisfies Table

/** Economy of sources that the geography does not know (ISO 3166 user-assigned). */
export const ECONOMY_UNKNOWN = 'ZZ'
