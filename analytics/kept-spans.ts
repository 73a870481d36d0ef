import { SPAN_BASES } from '../schemas/catalog.ts'
import { LISTENED_DAY } from '../schemas/closed-day.ts'
import type { Table } from '../schemas/column.ts'
import { type ListenedSpan, SILENCE_ALWAYS_LISTENED } from '../schemas/coverage.ts'
import type { Session } from './database.ts'
import { KeptBySensor, type SensorView } from './kept-by-sensor.ts'
import { listenedSpans, type SpanRange } from './listened-spans.ts'
import type { PlainRow } from './rows.ts'
import { bind, bindList, type Sql, sql } from './sql.ts'

/**
 * When each sensor listened, in memory: of a day that is not over it is in as many rows as there were uploads. Spans are
 * joined as far as `joinSpans` joins them at any rate, so that they give what the rows give.
 */

/**
 * Spans kept of a sensor, the newest: a sensor that listens without a pause has one, and one with a packet now and then
 * has years of them. Twice as many are in memory at most.
 */
const SPANS_MAX = 1000

/** In order of their beginnings. */
type Spans = readonly ListenedSpan[]

/** What is kept of one sensor. */
interface Listened {
  /** When it listened first, Unix microseconds; null when it never did. */
  readonly first: number | null
  /** All spans that reach beyond this time are in `spans`. */
  readonly since: number
  readonly spans: Spans
}

const KEPT = {
  ...LISTENED_DAY,
  first: LISTENED_DAY.listened_from,
  since: { ...LISTENED_DAY.listened_to, nullable: true },
} as const satisfies Table

/** The spans as one snapshot of the catalog has them. */
export interface SpanView {
  /** @returns when each sensor listened first, Unix microseconds; null for one that never did */
  readFirst(session: Session, sensors: readonly string[]): Promise<ReadonlyMap<string, number | null>>
  /** @returns of each sensor at least the spans that touch the range */
  read(session: Session, sensors: readonly string[], range: SpanRange): Promise<ReadonlyMap<string, Spans>>
}

export class KeptSpans {
  readonly #kept = new KeptBySensor<Listened>()

  /** To be called when a snapshot has just been taken. */
  view(): SpanView {
    const view = this.#kept.view(readListened)
    return {
      readFirst: async (session, sensors) => {
        const listened = await view.read(session, sensors)
        return new Map(sensors.map(sensor => [sensor, listened.get(sensor)!.first]))
      },
      read: (session, sensors, range) => readSpans(view, session, sensors, range),
    }
  }

  /** Adds spans of a commit that no question sees yet. */
  add(added: readonly { readonly sensor: string; readonly spans: Spans }[]): void {
    this.#kept.add(added, (before, additions) => {
      const spans = additions.flatMap(addition => addition.spans).sort((a, b) => a.from - b.from || a.to - b.to)
      return following(before, spans)
    })
  }

  /** Runs work that may change any spans in any way. */
  changing<T>(work: () => Promise<T>): Promise<T> {
    return this.#kept.changing(work)
  }
}

/** With more spans; null when they are not behind all others and have to be put in order among all rows. */
function following({ first, since, spans: before }: Listened, added: Spans): Listened | null {
  const spans = [...before]
  for (const span of added) {
    const last = spans.at(-1)
    if (last ? span.from < last.to : span.from < since) return null
    append(spans, span)
  }
  const start = first ?? spans[0]?.from ?? null
  if (spans.length <= 2 * SPANS_MAX) return { first: start, since, spans }
  const dropped = spans.splice(0, spans.length - SPANS_MAX)
  return { first: start, since: dropped.reduce((end, { to }) => Math.max(end, to), since), spans }
}

/** A span that begins when the last one has ended, or later; joined with it when it is at any rate. */
function append(spans: ListenedSpan[], span: ListenedSpan): void {
  const last = spans.at(-1)
  const stretch = span.basis === 'inferred' ? SILENCE_ALWAYS_LISTENED : 0
  if (last?.basis === span.basis && span.from >= last.to && span.from - last.to <= stretch) {
    spans[spans.length - 1] = { ...last, to: span.to, packets: last.packets + span.packets }
  } else spans.push(span)
}

async function readSpans(
  view: SensorView<Listened>,
  session: Session,
  sensors: readonly string[],
  range: SpanRange,
): Promise<Map<string, Spans>> {
  const listened = await view.read(session, sensors)
  const older = sensors.filter(sensor => listened.get(sensor)!.since > range.from)
  const read = older.length > 0 ? await readRange(session, older, range) : new Map<string, Spans>()
  return new Map(sensors.map(sensor => [sensor, read.get(sensor) ?? listened.get(sensor)!.spans]))
}

async function readRange(session: Session, sensors: readonly string[], range: SpanRange): Promise<Map<string, Spans>> {
  const rows = await session.plain(LISTENED_DAY, await listenedSpans(session, chosen(sensors), range))
  return groupSpans(sensors, rows)
}

/** The newest spans of each sensor, when the last of the others ended, and when it listened first. */
async function readListened(session: Session, sensors: readonly string[]): Promise<Map<string, Listened>> {
  const isKept = sql`place <= ${bind('int64', SPANS_MAX)}`
  const rows = await session.plain(
    KEPT,
    sql`SELECT sensor, listened_from, listened_to, basis, packet_count, first, since FROM (
        SELECT *, min(listened_from) OVER (PARTITION BY sensor) AS first,
          max(listened_to) FILTER (NOT ${isKept}) OVER (PARTITION BY sensor) AS since
        FROM (SELECT *, row_number() OVER (PARTITION BY sensor ORDER BY listened_from DESC, listened_to DESC) AS place
          FROM (${await listenedSpans(session, chosen(sensors))}) AS spans) AS placed) AS listened
      WHERE ${isKept}`,
  )
  const ends = new Map(rows.map(({ sensor, first, since }) => [sensor, { first, since }]))
  return new Map(
    [...groupSpans(sensors, rows)].map(([sensor, spans]) => {
      const { first = null, since = null } = ends.get(sensor) ?? {}
      return [sensor, { first, since: since ?? Number.NEGATIVE_INFINITY, spans }]
    }),
  )
}

/** Days are closed one by one; a span that went on at midnight is in two rows and becomes one again. */
function groupSpans(
  sensors: readonly string[],
  rows: readonly PlainRow<typeof LISTENED_DAY>[],
): Map<string, ListenedSpan[]> {
  const spans = new Map<string, ListenedSpan[]>(sensors.map(sensor => [sensor, []]))
  for (const row of rows.toSorted((a, b) => a.listened_from - b.listened_from || a.listened_to - b.listened_to)) {
    append(spans.get(row.sensor)!, {
      ...{ from: row.listened_from, to: row.listened_to },
      ...{ basis: SPAN_BASES[row.basis]!, packets: row.packet_count },
    })
  }
  return spans
}

function chosen(sensors: readonly string[]): Sql {
  return sql`sensor IN (SELECT unnest(${bindList('text', sensors)}))`
}
