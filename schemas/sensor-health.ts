import { QUERIES } from './api.ts'
import { RECEIPT, SENSOR } from './catalog.ts'
import { type Row, rowJsonSchema, type Table } from './column.ts'
import { SEQUENCE_GAP } from './sequence-gap.ts'

/** `GET /api/v1/sensor-health`: what an operator has to look after. */

/** Uploads whose latest packet was older than this when they came are late, seconds. */
export const LATE_SECONDS = 6 * 3600
/** A sensor is silent after this many of its usual intervals … */
export const SILENT_INTERVALS = 3
/** … and never before this, seconds. */
export const SILENT_SECONDS_MIN = 600
/** Intervals between uploads of which the usual one is the median. */
export const USUAL_INTERVALS = 50
/** Ranges of missing numbers that an answer names. */
export const MISSING_RANGES_MAX = 5

/** One row a sensor; `missing_sequences` stands beside. */
export const SENSOR_HEALTH = {
  sensor: SENSOR.sensor,
  economy: SENSOR.economy,
  last_upload_at: { ...RECEIPT.received_at, nullable: true, doc: 'When it sent last; null before its first upload.' },
  usual_interval_seconds: {
    type: 'float64',
    role: 'measure',
    sharing: 'members',
    nullable: true,
    doc: `Median of its last ${USUAL_INTERVALS} intervals between uploads, of the last 31 days; null with fewer than three of them.`,
  },
  silent_since: {
    type: 'timestamp_us',
    role: 'note',
    sharing: 'members',
    nullable: true,
    doc: `When it sent last, once that is longer ago than ${SILENT_INTERVALS} usual intervals and ${SILENT_SECONDS_MIN / 60} minutes; null while it is not, and while no interval is usual yet.`,
  },
  missing_sequence_count: {
    type: 'float64',
    role: 'measure',
    sharing: 'members',
    doc: 'Uploads that the sensor numbered and that never came and will not come, over all its spools.',
  },
  late_upload_count: {
    type: 'uint32',
    role: 'measure',
    sharing: 'members',
    doc: `Uploads of the last 7 days whose latest packet was more than ${LATE_SECONDS / 3600} hours old when they came.`,
  },
  clock_skew_seconds: { ...RECEIPT.clock_skew_seconds, doc: 'The same of its latest upload that says it.' },
  coverage_7d: {
    type: 'float64',
    role: 'measure',
    sharing: 'members',
    doc: 'Part of the last 7 days that it listened, from its beginning if that is later, 0 to 1.',
  },
  quarantined_count: QUERIES.sensors.row.quarantined_count,
  held_count: QUERIES.sensors.row.held_count,
  withdrawn_count: QUERIES.sensors.row.withdrawn_count,
} as const satisfies Table

/** A range of missing numbers. */
const MISSING_SEQUENCES = {
  spool: SEQUENCE_GAP.spool,
  first_sequence: SEQUENCE_GAP.first_sequence,
  last_sequence: SEQUENCE_GAP.last_sequence,
  reason: SEQUENCE_GAP.reason,
  found_at: SEQUENCE_GAP.found_at,
} as const satisfies Table

export interface SensorHealth extends Row<typeof SENSOR_HEALTH> {
  /** The latest found, MISSING_RANGES_MAX at most. */
  readonly missing_sequences: readonly Row<typeof MISSING_SEQUENCES>[]
}

/** JSON schema of the answer `{sensors: [...]}`. */
export function sensorHealthJsonSchema(): Record<string, unknown> {
  const row = rowJsonSchema(SENSOR_HEALTH) as { required: string[]; properties: Record<string, unknown> }
  const missing = {
    type: 'array',
    description: `The latest found ranges of missing numbers, ${MISSING_RANGES_MAX} at most.`,
    items: rowJsonSchema(MISSING_SEQUENCES),
  }
  const sensor = {
    ...row,
    required: [...row.required, 'missing_sequences'],
    properties: { ...row.properties, missing_sequences: missing },
  }
  return {
    type: 'object',
    additionalProperties: false,
    required: ['sensors'],
    properties: { sensors: { type: 'array', items: sensor } },
  }
}
