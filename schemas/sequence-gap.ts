import { RECEIPT } from './catalog.ts'
import type { Table } from './column.ts'

/**
 * Why a number is missing. unknown: nobody said; evicted: the spool of the sensor was full; refused: the hub did not
 * take it, it lies in the spool's folder "refused"; damaged: the sensor's disk changed its bytes; removed: somebody
 * took it out of the spool.
 */
export const GAP_REASONS = ['unknown', 'evicted', 'refused', 'damaged', 'removed'] as const
export type GapReason = (typeof GAP_REASONS)[number]

/** How far each spool has come: one row a spool of a sensor. */
export const UPLOAD_SPOOL = {
  sensor: { ...RECEIPT.sensor, doc: 'Sensor that numbers its uploads.' },
  spool: {
    type: 'text',
    role: 'key',
    sharing: 'members',
    doc: 'Name of its spool, 8 hexadecimal digits, made with the spool; a new one numbers from 1 again.',
  },
  last_sequence: { type: 'uint64', role: 'measure', sharing: 'members', doc: 'Highest number heard of.' },
  oldest_waiting: {
    type: 'uint64',
    role: 'measure',
    sharing: 'members',
    nullable: true,
    doc: 'Lowest number that the sensor still held, when it said so last: what is below and never came, never will.',
  },
  last_at: { type: 'timestamp_us', role: 'note', sharing: 'members', doc: 'When a number of it came last.' },
} as const satisfies Table

/** Numbers below `last_sequence` that never came: one row a range. One that comes late leaves it. */
export const SEQUENCE_GAP = {
  sensor: UPLOAD_SPOOL.sensor,
  spool: UPLOAD_SPOOL.spool,
  first_sequence: { type: 'uint64', role: 'key', sharing: 'members', doc: 'First number of the range.' },
  last_sequence: { type: 'uint64', role: 'note', sharing: 'members', doc: 'Last number of the range, included.' },
  reason: {
    type: 'uint8',
    role: 'note',
    sharing: 'members',
    names: GAP_REASONS,
    doc: 'Why, as far as the sensor said.',
  },
  found_at: { type: 'timestamp_us', role: 'note', sharing: 'members', doc: 'When the hub came to know of it.' },
} as const satisfies Table
