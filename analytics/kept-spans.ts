import { SPAN_BASES } from '../schemas/catalog.ts'
import { LISTENED_DAY } from '../schemas/closed-day.ts'
import { type ListenedSpan, SILENCE_ALWAYS_LISTENED } from '../schemas/coverage.ts'
import type { Session } from './database.ts'
import { listenedSpans } from './listened-spans.ts'
import { bindList, sql } from './sql.ts'

/**
 * When each sensor listened, all of it, kept in memory: every question asks for it, and of a day that is not over it is
 * in as many rows as there were uploads. Spans are joined as far as `joinSpans` joins them at any rate, so that they give
 * what the rows give.
 */

type Spans = readonly ListenedSpan[]

/** The spans as one snapshot of the catalog has them. */
export interface SpanView {
  /** @returns of each of the sensors, in order of their beginnings */
  read(session: Session, sensors: readonly string[]): Promise<ReadonlyMap<string, Spans>>
}

export class KeptSpans {
  /** Replaced, never changed: views hold on to it. */
  #kept: ReadonlyMap<string, Spans> = new Map()
  /** Work under way that may change any spans. */
  #changing = 0

  /** Of the state of the catalog at this moment: to be called when a snapshot has just been taken. */
  view(): SpanView {
    const kept = this.#kept
    return {
      read: async (session, sensors) => {
        const missing = sensors.filter(sensor => !kept.has(sensor))
        if (missing.length === 0) return kept
        const read = await readSpans(session, missing)
        // What was added meanwhile is not in the snapshot.
        if (this.#kept === kept && this.#changing === 0) this.#kept = new Map([...kept, ...read])
        return new Map([...kept, ...read])
      },
    }
  }

  /** Adds spans of a commit that readers do not see yet. */
  add(added: readonly { readonly sensor: string; readonly spans: Spans }[]): void {
    const next = new Map(this.#kept)
    for (const { sensor, spans } of added) {
      for (const span of [...spans].sort((a, b) => a.from - b.from)) {
        const before = next.get(sensor)
        const last = before?.at(-1)
        // One that is not behind all others has to be put in order among all rows.
        if (!before || (last && span.from < last.to)) next.delete(sensor)
        else next.set(sensor, following(before, span))
      }
    }
    this.#kept = next
  }

  /** Runs work that may change any spans in any way. */
  async changing<T>(work: () => Promise<T>): Promise<T> {
    this.#changing++
    this.#kept = new Map()
    try {
      return await work()
    } finally {
      this.#changing--
      this.#kept = new Map()
    }
  }
}

function following(spans: Spans, span: ListenedSpan): Spans {
  const last = spans.at(-1)
  return last && touches(last, span) ? [...spans.slice(0, -1), joined(last, span)] : [...spans, span]
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
