import type { Storage } from '../../analytics/storage.ts'

/**
 * Answers that are dear are given again for a while. A region that gets packets all the time changes every second, and
 * distinct sources are counted from each row of a week: asked anew by everybody who looks at a page, that would take
 * the processors from counting. So once there is much to count, an answer stays good for a minute, and one that is
 * asked for is made anew beside it, one at a time. Where uploads come all the time that is so with less to count, too:
 * nobody can tell which of them the answer should have. Else a hub answers from all that is counted.
 */

/** Hourly sums of sources from which on questions take too long to be asked by everybody: about 0.1 s each. */
const SOURCE_ROWS_MIN = 1_000_000
/** The same while uploads come all the time: a page asks ten questions at once. */
const STEADY_ROWS_MIN = 100_000
/** Uploads come all the time when groups were counted for so long ... */
const STEADY_MILLISECONDS = 60_000
/** ... with no longer pause between them. */
const STEADY_PAUSE_MILLISECONDS = 10_000
/** So old it may become until it is made anew. */
const REFRESH_MILLISECONDS = 10_000
/** So old it may be when it is given; then the caller waits for a new one. */
const KEPT_MILLISECONDS = 60_000
/** After an answer was made anew beside, nothing is for so many times what it took. */
const REFRESH_REST = 3
/** About as many as three people ask for; the one that nobody has asked for longest goes first. */
const ANSWERS_MAX = 64
/** How often the rows are counted. */
const LOOK_MILLISECONDS = 5000

interface Kept {
  readonly answer: object
  /** When it was asked for: nothing that was counted before is missing. */
  readonly askedAt: number
}

interface Clock {
  /** Milliseconds of a clock that never goes back. */
  now(): number
}

/** When each answer that was kept was asked for. */
const asked = new WeakMap<object, { readonly at: number; readonly clock: Clock }>()

/** Whole seconds since an answer was made, as the field Age has it (RFC 9111); 0 when it was made for this caller. */
export function answerAge(answer: object): number {
  const known = asked.get(answer)
  return known === undefined ? 0 : Math.floor((known.clock.now() - known.at) / 1000)
}

/** The storage, with answers that are kept. Whatever takes rows away or adds a sensor forgets them. */
export function keepAnswers(
  storage: Storage,
  clock: Clock = performance,
  { rowsMin = SOURCE_ROWS_MIN, steadyRowsMin = STEADY_ROWS_MIN } = {},
): Storage {
  const kept = new Map<string, Kept>()
  /** Answers that are being made; whoever asks the same meanwhile waits for the same one. */
  const making = new Map<string, Promise<object>>()
  const waiting = new Set<string>()
  let refreshing: Promise<unknown> = Promise.resolve()
  let generation = 0
  let look: { readonly at: number; readonly rows: Promise<number> } | null = null
  /** Groups were counted from the one time to the other without a long pause. */
  let [steadySince, countedAt] = [0, Number.NEGATIVE_INFINITY]

  const isSteady = (now: number): boolean =>
    now - countedAt < STEADY_PAUSE_MILLISECONDS && now - steadySince >= STEADY_MILLISECONDS

  const isMuch = async (): Promise<boolean> => {
    const now = clock.now()
    if (look === null || now - look.at >= LOOK_MILLISECONDS) look = { at: now, rows: storage.sourceRows() }
    return (await look.rows) >= (isSteady(now) ? Math.min(rowsMin, steadyRowsMin) : rowsMin)
  }

  const noteCount = (): void => {
    const now = clock.now()
    if (now - countedAt >= STEADY_PAUSE_MILLISECONDS) steadySince = now
    countedAt = now
  }

  const make = (key: string, ask: () => Promise<object>): Promise<object> => {
    const known = making.get(key)
    if (known !== undefined) return known
    const askedAt = clock.now()
    const of = generation
    const made = ask()
      .then(answer => {
        if (of !== generation) return answer
        asked.set(answer, { at: askedAt, clock })
        kept.delete(key)
        kept.set(key, { answer, askedAt })
        if (kept.size > ANSWERS_MAX) kept.delete(kept.keys().next().value!)
        return answer
      })
      .finally(() => {
        if (making.get(key) === made) making.delete(key)
      })
    making.set(key, made)
    return made
  }

  const refresh = (key: string, ask: () => Promise<object>): void => {
    if (waiting.has(key)) return
    waiting.add(key)
    refreshing = refreshing.then(async () => {
      waiting.delete(key)
      const begun = clock.now()
      // Whoever asks when it is too old is told why it fails.
      await make(key, ask).catch(() => {})
      await rest(REFRESH_REST * (clock.now() - begun))
    })
  }

  const give = async (key: string, ask: () => Promise<object>): Promise<object> => {
    if (!(await isMuch())) return await ask()
    const known = kept.get(key)
    const age = known === undefined ? Number.POSITIVE_INFINITY : clock.now() - known.askedAt
    if (known === undefined || age >= KEPT_MILLISECONDS) return await make(key, ask)
    // Asked for last.
    kept.delete(key)
    kept.set(key, known)
    if (age >= REFRESH_MILLISECONDS) refresh(key, ask)
    return known.answer
  }

  const forget = <A extends unknown[], R>(work: (...args: A) => Promise<R>): ((...args: A) => Promise<R>) => {
    return async (...args) => {
      try {
        return await work(...args)
      } finally {
        generation++
        kept.clear()
        making.clear()
      }
    }
  }

  return {
    ...storage,
    query(name, parameters, scope) {
      const ask = () => storage.query(name, parameters, scope)
      // Flows are read from the lake, few at a time, and nobody asks for the same ones.
      if (name === 'flows') return ask()
      const key = JSON.stringify([name, Object.entries(parameters).sort(), scope.sensors])
      return give(key, ask) as ReturnType<typeof ask>
    },
    async countGroup(uploads) {
      await storage.countGroup(uploads)
      if (uploads.length > 0) noteCount()
    },
    addSensor: forget(storage.addSensor),
    changeSensor: forget(storage.changeSensor),
    withdrawUpload: forget(storage.withdrawUpload),
    rebuildDay: forget(storage.rebuildDay),
    replaceDay: forget(storage.replaceDay),
    dropDay: forget(storage.dropDay),
    dropExpired: forget(storage.dropExpired),
  }
}

function rest(milliseconds: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, milliseconds).unref())
}
