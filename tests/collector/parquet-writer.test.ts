import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { emptyColumns, orderedColumns } from '../../collector/flow-columns.ts'
import { ParquetWriter } from '../../collector/parquet-writer.ts'
import { FLOWS_PER_RECORD_BATCH } from '../../schemas/batch.ts'
import { physicalColumns } from '../../schemas/column.ts'
import { FLOW } from '../../schemas/flow.ts'
import type { FlowRow } from '../support/read-batch.ts'
import { readFlowFiles } from '../support/read-flow-file.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// Parquet files of our own writer, read by DuckDB.

const newFolder = temporaryFolders()
const COLUMNS = physicalColumns(FLOW)
const BITS: Record<string, number> = { uint8: 8, uint16: 16, uint32: 32, uint64: 64, bits64: 64, timestamp_us: 50 }

/** Writes row groups; a column of a group is made from a seed: all one value, or values spread over all its bits. */
function write(groups: readonly { rows: number; seed: number }[]): { path: string; expected: FlowRow[] } {
  const columns = orderedColumns(emptyColumns())
  const writer = new ParquetWriter(join(newFolder(), 'a.parquet'), columns)
  const expected: Record<string, bigint>[] = []
  for (const { rows, seed } of groups) {
    const first = expected.length
    for (let row = 0; row < rows; row++) expected.push({})
    COLUMNS.forEach(({ name, type }, index) => {
      const step = (seed >> (index % 20)) & 1 ? 0x9e37_79b9_7f4a_7c15n * BigInt(seed + index) : 0n
      const { values } = columns[index]!
      for (let row = 0; row < rows; row++) {
        const value = BigInt.asUintN(BITS[type]!, BigInt(seed) * 31n + step * BigInt(row + 1))
        values[row] = values instanceof BigUint64Array || values instanceof BigInt64Array ? value : Number(value)
        expected[first + row]![name] = value
      }
    })
    writer.writeRows(
      columns.map(({ values }) => values),
      rows,
    )
  }
  writer.finish()
  return { path: writer.path, expected }
}

it.each([[[]], [[1]], [[7, 8, 9]], [[2047, 2048, 2049]], [[FLOWS_PER_RECORD_BATCH, 3]]])(
  'row groups of %j rows are read back as they were written',
  async sizes => {
    const { path, expected } = write(sizes.map((rows, index) => ({ rows, seed: 0x5a_5a5a + index * 77 })))
    expect(await readFlowFiles([path])).toEqual(expected)
  },
)

it('any columns are read back as they were written', async () => {
  const group = fc.record({ rows: fc.integer({ min: 1, max: 300 }), seed: fc.nat(0xff_ffff) })
  await fc.assert(
    fc.asyncProperty(fc.array(group, { maxLength: 4 }), async groups => {
      const { path, expected } = write(groups)
      expect(await readFlowFiles([path])).toEqual(expected)
    }),
    { numRuns: 25 },
  )
})

it('more than fifteen row groups and files are read in order', async () => {
  const files = Array.from({ length: 3 }, (_, file) =>
    write(Array.from({ length: 20 }, (_, index) => ({ rows: 5, seed: file * 1000 + index }))),
  )
  expect(await readFlowFiles(files.map(({ path }) => path))).toEqual(files.flatMap(({ expected }) => expected))
})

it('columns of one value stand behind the others in every row group', async () => {
  const path = join(newFolder(), 'a.parquet')
  const writer = new ParquetWriter(
    path,
    [{ name: 'number', type: 'uint32' }],
    [
      { name: 'word', type: 'text', value: 'é-1' },
      { name: 'epoch', type: 'uint16', value: 65_535 },
      { name: 'upload', type: 'uint32', value: 2 ** 32 - 1 },
    ],
  )
  writer.writeRows([Uint32Array.of(1, 2, 3)], 3)
  writer.writeRows([Uint32Array.of(4)], 1)
  writer.finish()
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await instance.connect()
  const reader = await connection.runAndReadAll(`SELECT * FROM read_parquet('${path}')`)
  expect(reader.columnTypes().map(String)).toEqual(['UINTEGER', 'VARCHAR', 'USMALLINT', 'UINTEGER'])
  expect(reader.getRows()).toEqual([1, 2, 3, 4].map(number => [number, 'é-1', 65_535, 2 ** 32 - 1]))
  connection.closeSync()
  instance.closeSync()
})

it('a type that it cannot write is refused before there is a file', () => {
  const folder = newFolder()
  expect(() => new ParquetWriter(join(folder, 'a'), [{ name: 'word', type: 'text' }])).toThrow(
    expect.objectContaining({ code: 'INTERNAL' }),
  )
  expect(readdirSync(folder)).toEqual([])
})

it('what is discarded leaves nothing', () => {
  const folder = newFolder()
  const writer = new ParquetWriter(join(folder, 'a'), COLUMNS)
  writer.writeRows(
    orderedColumns(emptyColumns()).map(({ values }) => values),
    10,
  )
  writer.discard()
  expect(readdirSync(folder)).toEqual([])
})
