import { COVERAGE_SPAN } from './catalog.ts'
import type { Table } from './column.ts'

/*
 * What a hub derives of days that are over, so that questions over long ranges read a few rows a sensor and day and not
 * one an upload. Whatever changes such a day opens it again, and it is closed anew.
 */

/** Days whose listened spans stand joined in `listened_day`. */
export const CLOSED_DAY = {
  day: { type: 'timestamp_us', role: 'key', sharing: 'withheld', doc: 'Start of the UTC day.' },
  closed_at: {
    type: 'timestamp_us',
    role: 'note',
    sharing: 'withheld',
    doc: 'When its spans were joined; another time means that they may be others.',
  },
} as const satisfies Table

/** Listened spans that begin on a closed day, joined where they touch. */
export const LISTENED_DAY = {
  sensor: COVERAGE_SPAN.sensor,
  listened_from: COVERAGE_SPAN.listened_from,
  listened_to: COVERAGE_SPAN.listened_to,
  basis: COVERAGE_SPAN.basis,
  packet_count: COVERAGE_SPAN.packet_count,
} as const satisfies Table

/** Days whose receipts changed after they had been settled: an operator accepted, tried again or withdrew one. */
export const CHANGED_DAY = {
  day: { type: 'timestamp_us', role: 'key', sharing: 'withheld', doc: 'UTC day on which the receipts were made.' },
  change_count: { type: 'uint32', role: 'measure', sharing: 'withheld', doc: 'Changes so far.' },
} as const satisfies Table
