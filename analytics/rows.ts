import type { DuckDBTimestampValue, DuckDBValue } from '@duckdb/node-api'
import { formatAddress, joinAddress } from '../schemas/address.ts'
import { type Column, physicalColumns, type Row, type Table } from '../schemas/column.ts'
import { TelescopeError } from '../schemas/errors.ts'

/**
 * DuckDB's values as plain ones, by the table that describes them. Only here: sums arrive as bigint, times as
 * `{micros}`, addresses as two columns.
 */

/** Columns of a result by name, as the driver gives them. */
export type ResultColumns = Readonly<Record<string, readonly DuckDBValue[]>>

type PlainValue<C extends Column> = C['type'] extends 'boolean'
  ? boolean
  : C['type'] extends 'text' | 'json'
    ? string
    : C['type'] extends 'ip_addr' | 'bits64'
      ? bigint
      : number

/** A row for use inside: addresses as 128-bit values, times as Unix microseconds, named values as numbers. */
export type PlainRow<T extends Table> = {
  [K in keyof T]: T[K] extends { nullable: true } ? PlainValue<T[K]> | null : PlainValue<T[K]>
}

/** Rows for use inside. */
export function plainRows<T extends Table>(table: T, columns: ResultColumns): PlainRow<T>[] {
  return convertRows(table, columns, plainValue) as PlainRow<T>[]
}

/** Rows as the API shows them; withheld columns are left out, and need not be in the result. */
export function apiRows<T extends Table>(table: T, columns: ResultColumns): Row<T>[] {
  const shown = Object.fromEntries(Object.entries(table).filter(([, column]) => column.sharing !== 'withheld'))
  return convertRows(shown, columns, apiValue) as Row<T>[]
}

type Convert = (value: DuckDBValue, column: Column, name: string) => unknown

function convertRows(table: Table, columns: ResultColumns, convert: Convert): Record<string, unknown>[] {
  for (const { name } of physicalColumns(table)) {
    if (!columns[name]) throw new TelescopeError('INTERNAL', `result has no column ${name}`)
  }
  const first = physicalColumns(table)[0]
  const rows: Record<string, unknown>[] = Array.from({ length: first ? columns[first.name]!.length : 0 }, () => ({}))
  for (const [name, column] of Object.entries(table)) {
    if (column.type === 'ip_addr') {
      const high = columns[`${name}_high`] as readonly bigint[]
      const low = columns[`${name}_low`] as readonly bigint[]
      rows.forEach((row, index) => {
        row[name] = convert(joinAddress(high[index]!, low[index]!), column, name)
      })
      continue
    }
    const values = columns[name]!
    rows.forEach((row, index) => {
      const value = values[index]!
      row[name] = value === null ? null : convert(value, column, name)
    })
  }
  return rows
}

function plainValue(value: DuckDBValue, column: Column, name: string): unknown {
  if (column.type === 'ip_addr' || column.type === 'bits64') return value
  if (column.type === 'timestamp_us') return safeNumber((value as DuckDBTimestampValue).micros, name)
  return typeof value === 'bigint' ? safeNumber(value, name) : value
}

function apiValue(value: DuckDBValue, column: Column, name: string): unknown {
  if (column.names) {
    const named = column.names[Number(value)]
    if (named === undefined) throw new TelescopeError('INTERNAL', `column ${name}: value ${value} has no name`)
    return named
  }
  if (column.type === 'ip_addr') return formatAddress(value as bigint)
  if (column.type === 'bits64') return `0x${(value as bigint).toString(16).padStart(16, '0')}`
  if (column.type === 'timestamp_us') return formatMicroseconds((value as DuckDBTimestampValue).micros)
  if (column.type === 'json') return JSON.parse(value as string)
  return typeof value === 'bigint' ? safeNumber(value, name) : value
}

/** Refuses what a number cannot hold exactly; never rounds. */
function safeNumber(value: bigint, name: string): number {
  const number = Number(value)
  if (!Number.isSafeInteger(number)) {
    throw new TelescopeError('INTERNAL', `column ${name}: ${value} is beyond what a number holds exactly`)
  }
  return number
}

/** `2026-11-22T10:00:00Z`, with as many as six decimals when there are any. */
export function formatMicroseconds(micros: bigint): string {
  const second = micros >= 0n ? micros / 1_000_000n : (micros - 999_999n) / 1_000_000n
  const fraction = String(micros - second * 1_000_000n)
    .padStart(6, '0')
    .replace(/0+$/, '')
  const text = new Date(Number(second) * 1000).toISOString().slice(0, -5)
  return `${text}${fraction ? `.${fraction}` : ''}Z`
}

/** Unix microseconds of what `formatMicroseconds` gives; Date reads no more than milliseconds. */
export function parseMicroseconds(text: string): number {
  const [, start, fraction = ''] = /^(.*?)(?:\.(\d+))?Z$/.exec(text) ?? []
  return Date.parse(`${start}Z`) * 1000 + Number(fraction.slice(0, 6).padEnd(6, '0'))
}
