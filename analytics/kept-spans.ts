import { SPAN_BASES } from '../schemas/catalog.ts'
import { LISTENED_DAY } from '../schemas/closed-day.ts'
import { type ListenedSpan, SILENCE_ALWAYS_LISTENED } from '../schemas/coverage.ts'
import type { Session } from './database.ts'
import { KeptBySensor, type SensorView } from './kept-by-sensor.ts'
import { listenedSpans } from './listened-spans.ts'
import { bindList, sql } from './sql.ts'

/**
 * When each sensor listened, all of it, in memory: of a day that is not over it is in as many rows as there were uploads.
 * Spans are joined as far as `joinSpans` joins them at any rate, so that they give what the rows give.
 */

type Spans = readonly ListenedSpan[]

/** The spans of each sensor, in order of their beginnings. */
export type SpanView = SensorView<Spans>

export class KeptSpans {
  readonly #kept = new KeptBySensor<Spans>()

  /** To be called when a snapshot has just been taken. */
  view(): SpanView {
    return this.#kept.view(readSpans)
  }

  /** Adds spans of a commit that no question sees yet. */
  add(added: readonly { readonly sensor: string; readonly spans: Spans }[]): void {
    const inOrder = added.flatMap(({ sensor, spans }) =>
      [...spans].sort((a, b) => a.from - b.from).map(span => ({ sensor, span })),
    )
    this.#kept.add(inOrder, (before, { span }) => following(before, span))
  }

  /** Runs work that may change any spans in any way. */
  changing<T>(work: () => Promise<T>): Promise<T> {
    return this.#kept.changing(work)
  }
}

/** With one more span; null when it is not behind all others and has to be put in order among all rows. */
function following(spans: Spans, span: ListenedSpan): Spans | null {
  const last = spans.at(-1)
  if (!last) return [span]
  if (span.from < last.to) return null
  return touches(last, span) ? [...spans.slice(0, -1), joined(last, span)] : [...spans, span]
}

/** Whether a span that begins when another has ended, or later, is joined with it at any rate. */
function touches(last: ListenedSpan, span: ListenedSpan): boolean {
  const stretch = span.basis === 'inferred' ? SILENCE_ALWAYS_LISTENED : 0
  return last.basis === span.basis && span.from - last.to <= stretch
}

function joined(last: ListenedSpan, span: ListenedSpan): ListenedSpan {
  return { ...last, to: span.to, packets: last.packets + span.packets }
}

async function readSpans(session: Session, sensors: readonly string[]): Promise<Map<string, ListenedSpan[]>> {
  const chosen = sql`sensor IN (SELECT unnest(${bindList('text', sensors)}))`
  const rows = await session.plain(
    LISTENED_DAY,
    sql`SELECT * FROM (${await listenedSpans(session, chosen)}) AS spans ORDER BY sensor, listened_from, listened_to`,
  )
  const read = new Map<string, ListenedSpan[]>(sensors.map(sensor => [sensor, []]))
  for (const { sensor, listened_from, listened_to, basis, packet_count } of rows) {
    const spans = read.get(sensor)!
    const last = spans.at(-1)
    const span = { from: listened_from, to: listened_to, basis: SPAN_BASES[basis]!, packets: packet_count }
    // Days are closed one by one; a span that went on at midnight is in two rows.
    if (last && span.from >= last.to && touches(last, span)) spans[spans.length - 1] = joined(last, span)
    else spans.push(span)
  }
  return read
}
