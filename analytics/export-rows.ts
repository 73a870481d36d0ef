import { QUERIES, type QueryName, type QueryRow } from '../schemas/api.ts'
import type { Column, Table } from '../schemas/column.ts'

/** Rows of an answer as CSV. */
export function exportRows<N extends QueryName>(name: N, rows: readonly QueryRow<N>[]): string {
  return tableCsv(QUERIES[name].row, rows)
}

/**
 * Rows as CSV (RFC 4180: CRLF, quotes doubled), columns and header from their table. A text that a spreadsheet would
 * take for a formula gets an apostrophe before it.
 */
export function tableCsv(table: Table, rows: readonly object[]): string {
  const columns = Object.entries(table).filter(([, column]) => column.sharing !== 'withheld')
  const lines = rows.map(row =>
    columns.map(([key, column]) => cell((row as Record<string, unknown>)[key], column)).join(','),
  )
  return [columns.map(([key]) => key).join(','), ...lines].map(line => `${line}\r\n`).join('')
}

function cell(value: unknown, column: Column): string {
  if (value === null || value === undefined) return ''
  const text = column.type === 'json' ? JSON.stringify(value) : String(value)
  const isText = column.type === 'text' || column.type === 'json'
  const safe = isText && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
