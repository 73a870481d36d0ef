import { randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import { type BatchMetadata, FLOWS_PER_RECORD_BATCH } from '../schemas/batch.ts'
import { LAKE_FILE } from '../schemas/catalog.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { DAY_SECONDS, MICROSECONDS } from '../schemas/time.ts'
import type { Session } from './database.ts'
import { type GroupFileRow, type GroupFiles, type GroupUploadRow, isOfDay, makeSums, makeViews } from './group-views.ts'
import type { Lake } from './lake.ts'
import type { ReceiptRow } from './receipts.ts'
import type { SensorRow } from './sensors.ts'
import { bind, literal, sql } from './sql.ts'
import type { ParsedUpload } from './storage.ts'

/**
 * The files of a group of parsed uploads: taken over from the parsing children, numbered, and sorted into those that the
 * lake takes in as they are and those whose flows are gathered.
 */

const PARQUET_MAGIC = 'PAR1'

/** Flows of a file that is worth being one of the lake as it is: writing them anew would cost more than all else. */
const WHOLE_ROWS_MIN = FLOWS_PER_RECORD_BATCH

/** A file of one upload and UTC day that the lake takes in as it is. */
interface WholeFile {
  /** Number in the group. */
  readonly upload: number
  /** Staged. */
  readonly path: string
  /** Unix microseconds of the start of its day. */
  readonly day: number
  readonly row_count: number
  readonly packet_count: number
}

/** A group that is open in a session; one at a time. */
export class FlowGroup {
  /** Numbers in the group of uploads that the operator accepted although they overlap. */
  readonly accepted: ReadonlySet<number>
  /** By what is said of them; all other files are gathered. */
  readonly whole: readonly WholeFile[]
  readonly #session: Session
  readonly #lake: Lake
  readonly #uploads: readonly ParsedUpload[]
  readonly #numbered: readonly GroupUploadRow[]
  readonly #files: readonly GroupFiles[]
  readonly #staged: readonly string[]

  private constructor(parts: {
    session: Session
    lake: Lake
    uploads: readonly ParsedUpload[]
    accepted: ReadonlySet<number>
    numbered: readonly GroupUploadRow[]
    files: readonly GroupFiles[]
    whole: readonly WholeFile[]
    staged: readonly string[]
  }) {
    this.#session = parts.session
    this.#lake = parts.lake
    this.#uploads = parts.uploads
    this.accepted = parts.accepted
    this.#numbered = parts.numbered
    this.whole = parts.whole
    this.#files = parts.files
    this.#staged = parts.staged
  }

  /**
   * @param receipts of the uploads, in their order
   * @throws BATCH_INVALID with the details sensor and sha256, SENSOR_UNKNOWN, STORAGE_FAILED, DISK_FULL; INTERNAL when an
   *   upload has no receipt
   */
  static async open(
    { session, lake, sensors }: { session: Session; lake: Lake; sensors: ReadonlyMap<string, SensorRow> },
    uploads: readonly ParsedUpload[],
    receipts: readonly (ReceiptRow | null)[],
  ): Promise<FlowGroup> {
    const { accepted, numbered } = numberUploads(sensors, uploads, receipts)
    const staged: string[] = []
    const adopt = async (upload: ParsedUpload, path: string): Promise<string> => {
      if (!(await isComplete(path))) throw refused(upload, 'a file of what was parsed is not complete')
      const adopted = await lake.adopt(path, `${randomBytes(12).toString('hex')}.parquet`)
      staged.push(adopted)
      return adopted
    }
    const owners: GroupFileRow[] = []
    const files: GroupFiles[] = []
    const whole: WholeFile[] = []
    try {
      for (const [number, upload] of uploads.entries()) {
        for (const { path, sources, traffic, metadata } of upload.batches) {
          if (metadata.flows === 0) continue
          const adopted = {
            path: await adopt(upload, path),
            sources: await adopt(upload, sources),
            traffic: await adopt(upload, traffic),
          }
          const day = wholeDay(metadata)
          owners.push({ file_index: files.length, upload: number, is_whole: day !== null })
          files.push(adopted)
          if (day === null) continue
          const counts = { row_count: metadata.flows, packet_count: metadata.packets_kept }
          whole.push({ upload: number, path: adopted.path, day, ...counts })
        }
      }
      await makeViews(session, numbered, owners, files)
      const [first, ...more] = new Set(numbered.map(({ sensor }) => sensor))
      await makeSums(session, files, more.length === 0 ? (first ?? null) : null)
      return new FlowGroup({ session, lake, uploads, accepted, numbered, files, whole, staged })
    } catch (error) {
      await lake.disown(staged)
      // What cannot be read for want of a descriptor is no fault of the upload.
      throw lake.wrap(error)
    }
  }

  /** Takes the flows of an upload and their sums out of the group. */
  async exclude(upload: number): Promise<void> {
    await this.#session.run(sql`DELETE FROM group_file WHERE upload = ${bind('uint32', upload)}`)
    await makeSums(this.#session, this.#files, null)
  }

  /**
   * Holds a whole file against what the hub knows of its upload: what is gathered gets that from the hub, and this has it
   * from the parsing child.
   * @throws BATCH_INVALID
   */
  async checkWhole({ upload, path, day }: WholeFile): Promise<void> {
    const { sensor, telescope_epoch, upload_id } = this.#numbered[upload]!
    const [found] = await this.#session.plain(
      { row_count: LAKE_FILE.row_count },
      sql`SELECT count(*) AS row_count FROM read_parquet([${literal(path)}]) WHERE sensor IS DISTINCT FROM ${bind('text', sensor)}
        OR telescope_epoch IS DISTINCT FROM ${bind('uint16', telescope_epoch)} OR upload_id IS DISTINCT FROM ${bind('uint32', upload_id)}
        OR (${isOfDay(day)}) IS NOT TRUE`,
    )
    if (found!.row_count === 0) return
    const { sha256 } = this.#uploads[upload]!
    throw refused({ sensor, sha256 }, `${found!.row_count} flows that are of another sensor, upload or day`)
  }

  /** Nothing can be read any more. */
  async close(): Promise<void> {
    await this.#lake.disown(this.#staged)
  }
}

/** @returns start of the day of all its flows, Unix microseconds, when they are many and of one */
function wholeDay({ flows, first_packet: first, last_packet: last }: BatchMetadata): number | null {
  if (flows < WHOLE_ROWS_MIN || first === null || last === null) return null
  const day = first - (first % (DAY_SECONDS * MICROSECONDS))
  return last < day + DAY_SECONDS * MICROSECONDS ? day : null
}

/** A Parquet file ends with its magic number, which is written last. */
async function isComplete(path: string): Promise<boolean> {
  const handle = await open(path, 'r')
  try {
    const { size } = await handle.stat()
    const end = Buffer.alloc(PARQUET_MAGIC.length)
    await handle.read(end, 0, end.length, Math.max(0, size - end.length))
    return end.toString('latin1') === PARQUET_MAGIC
  } finally {
    await handle.close()
  }
}

function numberUploads(
  sensors: ReadonlyMap<string, SensorRow>,
  uploads: readonly ParsedUpload[],
  receipts: readonly (ReceiptRow | null)[],
): { accepted: Set<number>; numbered: GroupUploadRow[] } {
  const accepted = new Set<number>()
  const numbered: GroupUploadRow[] = []
  for (const [upload, { sensor, sha256, batches }] of uploads.entries()) {
    const known = sensors.get(sensor)
    if (!known) throw unknownSensor(sensor)
    const receipt = receipts[upload]
    if (!receipt) throw notWaiting(sensor, sha256)
    if (receipt.accepted_at !== null) accepted.add(upload)
    const telescope_epoch = batches[0]?.metadata.telescope_epoch ?? known.telescope_epoch
    numbered.push({ upload, sensor, telescope_epoch, upload_id: receipt.upload_id, kind: receipt.kind })
  }
  return { accepted, numbered }
}

export function refused(
  upload: Pick<ParsedUpload, 'sensor' | 'sha256'>,
  message: string,
  cause?: unknown,
): TelescopeError {
  const { sensor, sha256 } = upload
  return new TelescopeError('BATCH_INVALID', `upload ${sensor}/${sha256}: ${message}`, { sensor, sha256 }, cause)
}

export function notWaiting(sensor: string, sha256: string): TelescopeError {
  return new TelescopeError(
    'INTERNAL',
    `upload ${sensor}/${sha256}: no receipt that waits to be counted; the group was not counted`,
    { sensor, sha256 },
  )
}

function unknownSensor(sensor: string): TelescopeError {
  return new TelescopeError('SENSOR_UNKNOWN', `sensor "${sensor}": none of this name is registered`, { sensor })
}
