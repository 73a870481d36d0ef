import { readFileSync } from 'node:fs'
import { tableFromIPC } from 'apache-arrow'
import './arrow-codec.ts'
import { BATCH_METADATA_KEY, type BatchMetadata } from '../../schemas/batch.ts'
import { physicalColumns } from '../../schemas/column.ts'
import { FLOW } from '../../schemas/flow.ts'

/** A flow as it lies in a batch: every physical column by name. */
export type FlowRow = Readonly<Record<string, bigint>>

/** Reads a batch with the ordinary Arrow library, the long way round: value by value. */
export function readBatch(path: string): { rows: FlowRow[]; metadata: BatchMetadata; columns: string[] } {
  const table = tableFromIPC(readFileSync(path))
  const columns = table.schema.fields.map(field => `${field.name} ${field.type}${field.nullable ? ' null' : ''}`)
  const names = physicalColumns(FLOW).map(column => column.name)
  const rows: FlowRow[] = []
  for (const batch of table.batches) {
    const values = names.map(name => batch.getChild(name)!.data[0]!.values as ArrayLike<bigint | number>)
    for (let row = 0; row < batch.numRows; row++) {
      rows.push(Object.fromEntries(names.map((name, index) => [name, BigInt(values[index]![row]!)])))
    }
  }
  return { rows, metadata: JSON.parse(table.schema.metadata.get(BATCH_METADATA_KEY)!), columns }
}

const KEYS = physicalColumns(FLOW)
  .map(column => column.name)
  .filter(name => FLOW[name.replace(/_(high|low)$/, '') as keyof typeof FLOW]?.role === 'key')

/** Rows by their key, several rows of one key added up; the sampled port takes no part. */
export function addUpFlows(rows: Iterable<FlowRow>): Map<string, Record<string, bigint>> {
  const flows = new Map<string, Record<string, bigint>>()
  for (const row of rows) {
    const key = KEYS.map(name => `${name}=${row[name]}`).join(' ')
    const sum = flows.get(key)
    if (!sum) {
      const { src_port_sample: _sample, ...rest } = row
      flows.set(key, { ...rest })
      continue
    }
    const first = min(sum['first_second']!, row['first_second']!)
    const last = max(lastSecond(sum), lastSecond(row))
    for (const name of Object.keys(sum)) if (/_count$/.test(name)) sum[name] = sum[name]! + row[name]!
    sum['first_second'] = first
    sum['duration_seconds'] = last - first
  }
  return flows
}

function lastSecond(row: FlowRow): bigint {
  return row['first_second']! + row['duration_seconds']!
}
function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}
function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
