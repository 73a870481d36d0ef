import { createReadStream } from 'node:fs'
import { CompressionType, compressionRegistry, type Data, RecordBatchReader, Type } from 'apache-arrow'
import { FLOWS_PER_RECORD_BATCH } from '../schemas/batch.ts'
import { type PhysicalColumn, physicalColumns } from '../schemas/column.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { FLOW } from '../schemas/flow.ts'
import { decodeLz4Frame } from '../schemas/lz4-frame.ts'
import { ColumnAppender, type ColumnValues, type FixedWidthArray, fixedWidthArray } from './append.ts'
import type { Session } from './database.ts'

/**
 * Batch file → a temporary table of the columns of FLOW. The first column of that table says which upload of the group
 * a flow came with; sensor and epoch are joined from there, because a text per row is what would cost most.
 */

const UPLOAD_COLUMN: PhysicalColumn = { name: 'upload', type: 'uint32', nullable: false }
export const GROUP_FLOW_COLUMNS: readonly PhysicalColumn[] = [UPLOAD_COLUMN, ...physicalColumns(FLOW)]

/** The longest buffer of a record batch. */
const BUFFER_BYTES_MAX = FLOWS_PER_RECORD_BATCH * 8

compressionRegistry.set(CompressionType.LZ4_FRAME, {
  decode(frame) {
    const bytes = decodeLz4Frame(frame, BUFFER_BYTES_MAX)
    if (bytes === null) throw new Error('an LZ4 frame is damaged')
    return bytes
  },
})

/** Read at once; a record batch of 65 536 flows is about 8 MB. */
const READ_BYTES = 4 * 1024 * 1024

/** Fills the temporary table with batch files. */
export class BatchLoader {
  readonly #appender: ColumnAppender

  private constructor(appender: ColumnAppender) {
    this.#appender = appender
  }

  static async open(session: Session, table: string): Promise<BatchLoader> {
    return new BatchLoader(await ColumnAppender.open(session, { name: table, temporary: true }, GROUP_FLOW_COLUMNS))
  }

  /**
   * Loads one file, a record batch at a time.
   * @param upload number of the upload in the group
   * @returns flows loaded
   * @throws BATCH_INVALID; STORAGE_FAILED when the file cannot be read, which is no fault of the upload
   */
  async load(path: string, upload: number): Promise<number> {
    let rows = 0
    const file = createReadStream(path, { highWaterMark: READ_BYTES })
    // The reader takes a file that cannot be opened for one without a schema.
    let unreadable: NodeJS.ErrnoException | null = null
    file.once('error', error => {
      unreadable = error
    })
    try {
      const reader = await RecordBatchReader.from(file)
      await reader.open()
      const columns = physicalColumns(FLOW)
      const places = columns.map(column => {
        const place = reader.schema.fields.findIndex(field => field.name === column.name)
        if (place < 0) throw new TelescopeError('BATCH_INVALID', `batch: column ${column.name} is missing`, {})
        return place
      })
      for await (const batch of reader) {
        const rowCount = batch.numRows
        const values = columns.map((column, index) => columnValues(batch.data.children[places[index]!]!, column))
        this.#appender.append([new Uint32Array(rowCount).fill(upload), ...values], rowCount)
        rows += rowCount
      }
    } catch (error) {
      if (unreadable !== null) {
        const { code } = unreadable as NodeJS.ErrnoException
        throw new TelescopeError('STORAGE_FAILED', `batch: cannot be read (${code})`, { fatal: false }, unreadable)
      }
      if (error instanceof TelescopeError) throw error
      const message = error instanceof Error ? error.message : String(error)
      throw new TelescopeError('BATCH_INVALID', `batch: not a complete Arrow stream: ${message}`, {}, error)
    }
    return rows
  }

  close(): void {
    this.#appender.close()
  }
}

function columnValues(data: Data, column: PhysicalColumn): ColumnValues {
  if (!column.nullable && data.nullCount > 0) {
    throw new TelescopeError('BATCH_INVALID', `batch: column ${column.name} has ${data.nullCount} nulls, none expected`)
  }
  const expected = fixedWidthArray(column.type)
  if (expected && data.nullCount === 0) {
    const values = fixedWidthView(data)
    if (!values || Object.getPrototypeOf(values) !== expected.prototype) {
      throw new TelescopeError('BATCH_INVALID', `batch: column ${column.name} is ${data.type}, expected ${column.type}`)
    }
    return values
  }
  throw new TelescopeError('BATCH_INVALID', `batch: column ${column.name}: flows hold no ${column.type}`)
}

function fixedWidthView(data: Data): FixedWidthArray | null {
  const { typeId } = data.type
  if (typeId !== Type.Int && typeId !== Type.Float && typeId !== Type.Timestamp) return null
  return (data.values as FixedWidthArray).subarray(0, data.length)
}
