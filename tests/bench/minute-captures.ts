import { type FileHandle, open, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DAY_SECONDS, MICROSECONDS } from '../../schemas/time.ts'
import { measure } from './measure.ts'
import { PROGRAM } from './simulated-day.ts'

/*
 * The simulated region, cut into captures of a minute for more sensors than it has. A day of each of its sensors is cut
 * into as many pieces of equal time as the sensors that share it need minutes; the packets of a piece are set into the
 * minute at hand. So each capture is new, sources are shared by sensors and come back as they do in the region, and the
 * hour of the day is in none of it.
 */

/**
 * Packets of a batch as planned: 42.5 million packets a day in 57 600 batches, of 200 sensors that send every five
 * minutes. Sent every minute, it is five times of both.
 */
export const PACKETS_PER_BATCH = 738

const HEADER_BYTES = 24
const RECORD_BYTES = 16
const MINUTE = 60

/** The day of a simulated sensor. */
interface Day {
  readonly file: FileHandle
  readonly telescope: string
  readonly header: Buffer
  readonly midnight: number
  /** Where each piece begins in the file; one more at the end. */
  readonly starts: readonly number[]
}

export class MinuteCaptures {
  readonly #days: readonly Day[]
  readonly #minutes: number
  readonly #pieceSeconds: number

  private constructor(days: readonly Day[], minutes: number, pieces: number) {
    this.#days = days
    this.#minutes = minutes
    this.#pieceSeconds = DAY_SECONDS / pieces
  }

  /** @param folder receives the captures of the region: about 100 bytes a packet */
  static async make(
    folder: string,
    { sensors, minutes, packets, seed }: { sensors: number; minutes: number; packets: number; seed: number },
  ): Promise<MinuteCaptures> {
    const all = String(sensors * minutes * packets)
    const shape = ['--scenario', 'region', '--days', '1', '--packets', all, '--seed', String(seed)]
    await measure([process.execPath, PROGRAM, 'simulate', ...shape, '--out', folder], tmpdir())
    const truth = JSON.parse(await readFile(join(folder, 'truth.json'), 'utf8')) as {
      sensors: { id: string; prefixes: string[] }[]
      captures: { sensor: string; day: string; path: string }[]
    }
    const pieces = Math.ceil(sensors / truth.sensors.length) * minutes
    const days: Day[] = []
    for (const { sensor, day, path } of truth.captures) {
      const { prefixes } = truth.sensors.find(({ id }) => id === sensor)!
      const midnight = Date.parse(day) / 1000
      const place = join(folder, path)
      const starts = cut(await readFile(place), midnight, pieces)
      const file = await open(place)
      const header = Buffer.alloc(HEADER_BYTES)
      await file.read(header, 0, HEADER_BYTES, 0)
      days.push({ file, telescope: prefixes.join(','), header, midnight, starts })
    }
    return new MinuteCaptures(days, minutes, pieces)
  }

  /** The dark prefixes of a sensor, by its place among all. */
  telescope(place: number): string {
    return this.#days[place % this.#days.length]!.telescope
  }

  /**
   * Writes what a sensor received in a minute.
   * @param minute of the run, from 0
   * @param start Unix second of its start
   */
  async write(path: string, place: number, minute: number, start: number): Promise<void> {
    const day = this.#days[place % this.#days.length]!
    const piece = Math.floor(place / this.#days.length) * this.#minutes + minute
    const [from, to] = [day.starts[piece]!, day.starts[piece + 1]!]
    const bytes = Buffer.alloc(HEADER_BYTES + to - from)
    day.header.copy(bytes)
    await day.file.read(bytes, HEADER_BYTES, to - from, from)
    const begin = (day.midnight + piece * this.#pieceSeconds) * MICROSECONDS
    for (let at = HEADER_BYTES; at < bytes.length; at += RECORD_BYTES + bytes.readUInt32LE(at + 8)) {
      const offset = ((timeOf(bytes, at) - begin) * MINUTE) / this.#pieceSeconds
      const time = start * MICROSECONDS + Math.min(Math.max(0, Math.floor(offset)), MINUTE * MICROSECONDS - 1)
      bytes.writeUInt32LE(Math.floor(time / MICROSECONDS), at)
      bytes.writeUInt32LE(time % MICROSECONDS, at + 4)
    }
    await writeFile(path, bytes)
  }

  async close(): Promise<void> {
    for (const { file } of this.#days) await file.close()
  }
}

/** Places in a pcap where its records reach the next piece of the day. */
function cut(bytes: Buffer, midnight: number, pieces: number): number[] {
  const starts = [HEADER_BYTES]
  let at = HEADER_BYTES
  for (; at < bytes.length; at += RECORD_BYTES + bytes.readUInt32LE(at + 8)) {
    const seconds = timeOf(bytes, at) / MICROSECONDS - midnight
    while (starts.length < pieces && seconds >= (starts.length * DAY_SECONDS) / pieces) starts.push(at)
  }
  while (starts.length <= pieces) starts.push(at)
  return starts
}

/** Unix microseconds of a record. */
function timeOf(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) * MICROSECONDS + bytes.readUInt32LE(at + 4)
}
