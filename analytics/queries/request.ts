import type { ParameterTable } from '../../schemas/api.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { SENSOR_HOUR } from '../../schemas/rollup.ts'
import { DAY_SECONDS, formatTime, HOUR_SECONDS, MICROSECONDS, parseTime } from '../../schemas/time.ts'
import type { Session } from '../database.ts'
import type { SpanView } from '../kept-spans.ts'
import type { Lake } from '../lake.ts'
import type { LastUploads } from '../last-uploads.ts'
import type { SensorRow } from '../sensors.ts'
import { bind, bindList, type Sql, sql } from '../sql.ts'
import type { Scope } from '../storage.ts'
import type { UsualRateView } from '../usual-rates.ts'

/** What a question stands on: one snapshot, one clock, one caller. */
export interface QueryContext {
  readonly session: Session
  /** All of the hub, in order of their names. */
  readonly sensors: readonly SensorRow[]
  readonly lake: Lake
  readonly spans: SpanView
  readonly usualRates: UsualRateView
  readonly lastUploads: LastUploads
  /** Unix seconds. */
  readonly now: number
  readonly scope: Scope
}

/** [since, until), Unix seconds. */
export interface TimeRange {
  readonly since: number
  readonly until: number
}

const RANGE_DEFAULT = 7 * DAY_SECONDS

/** Buckets at once: 100 days of hours. An answer stays below a few megabytes and a chart has no more pixels. */
export const BUCKETS_MAX = 2400

/** 2255: later times are no exact numbers in microseconds. */
const TIME_MAX = Math.floor(Number.MAX_SAFE_INTEGER / MICROSECONDS)

/**
 * Checks names and values against the table of the question.
 * @returns the value of each parameter, or its default; undefined when there is neither
 * @throws QUERY_INVALID
 */
export function checkParameters(
  table: ParameterTable,
  parameters: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> {
  for (const name of Object.keys(parameters)) {
    if (!Object.hasOwn(table, name)) {
      throw invalid(name, `parameter "${name}" is unknown; known are ${Object.keys(table).join(', ')}`)
    }
  }
  const checked: Record<string, string | undefined> = {}
  for (const [name, parameter] of Object.entries(table)) {
    const value = parameters[name] ?? parameter.default
    checked[name] = value
    if (value === undefined) continue
    if (parameter.choices && !parameter.choices.includes(value)) {
      throw invalid(name, `parameter ${name} is "${value}", expected one of ${parameter.choices.join(', ')}`)
    }
    if (parameter.type !== 'integer') continue
    const { minimum = 0, maximum = Number.MAX_SAFE_INTEGER } = parameter
    if (!/^\d{1,16}$/.test(value) || Number(value) < minimum || Number(value) > maximum) {
      throw invalid(name, `parameter ${name} is "${value}", expected a whole number from ${minimum} to ${maximum}`)
    }
  }
  return checked
}

/**
 * The sensors that are asked for and that the caller may see, in order of their names.
 * @throws SENSOR_UNKNOWN, the same for one outside the scope
 */
export function selectSensors({ sensors: all, scope }: QueryContext, names?: string): readonly SensorRow[] {
  const { sensors: allowed } = scope
  const visible = allowed === 'all' ? all : all.filter(row => allowed.includes(row.sensor))
  if (names === undefined) return visible
  const asked = new Set(splitList('sensor', names))
  for (const name of asked) {
    if (visible.some(row => row.sensor === name)) continue
    throw new TelescopeError('SENSOR_UNKNOWN', `sensor "${name}": none of this name is registered`, { sensor: name })
  }
  return visible.filter(row => asked.has(row.sensor))
}

/**
 * The range, with its defaults, on boundaries of the bucket.
 * @throws QUERY_INVALID, QUERY_RANGE_UNALIGNED, QUERY_RANGE_TOO_WIDE
 */
export async function resolveRange(
  context: QueryContext,
  parameters: Readonly<Record<string, string | undefined>>,
  bucketSeconds: number | null = null,
): Promise<TimeRange> {
  const align = bucketSeconds ?? HOUR_SECONDS
  const until =
    parameters['until'] === undefined ? await lastDayEnd(context) : alignedTime('until', parameters['until'], align)
  const since =
    parameters['since'] === undefined
      ? Math.max(0, until - RANGE_DEFAULT)
      : alignedTime('since', parameters['since'], align)
  if (since >= until) {
    throw invalid('since', `range ${formatTime(since)} to ${formatTime(until)}: since must be before until`)
  }
  const buckets = (until - since) / align
  if (bucketSeconds !== null && buckets > BUCKETS_MAX) {
    throw new TelescopeError(
      'QUERY_RANGE_TOO_WIDE',
      `range has ${buckets} buckets of ${bucketSeconds} seconds, at most ${BUCKETS_MAX} are served; use wider buckets or a shorter range`,
      { buckets, buckets_max: BUCKETS_MAX },
    )
  }
  return { since, until }
}

function alignedTime(name: string, text: string, align: number): number {
  const time = parseTime(text)
  if (time < 0 || time > TIME_MAX) throw invalid(name, `parameter ${name} is "${text}", expected 1970 to 2255`)
  if (time % align === 0) return time
  const nearest = formatTime(Math.round(time / align) * align)
  throw new TelescopeError(
    'QUERY_RANGE_UNALIGNED',
    `parameter ${name} is "${text}", which is not on a boundary of ${align} seconds; nearest is ${nearest}`,
    { parameter: name, nearest },
  )
}

/** End of the last UTC day with data that the caller may see; days to come are passed over where others exist. */
async function lastDayEnd(context: QueryContext): Promise<number> {
  const tomorrow = Math.floor(context.now / DAY_SECONDS) * DAY_SECONDS + DAY_SECONDS
  const { last } = await readDataRange(context, tomorrow)
  if (last !== null) return last
  return (await readDataRange(context, TIME_MAX)).last ?? tomorrow
}

const DATA_RANGE = {
  first: { ...SENSOR_HOUR.bucket_start, nullable: true },
  last: { ...SENSOR_HOUR.bucket_start, nullable: true },
} as const

/**
 * First day and end of the last day with data that the caller may see, Unix seconds; null without data.
 * @param before only data before this Unix second
 */
export async function readDataRange(
  context: QueryContext,
  before: number = TIME_MAX,
): Promise<{ first: number | null; last: number | null }> {
  const sensors = selectSensors(context)
  const [row] = await context.session.plain(
    DATA_RANGE,
    sql`SELECT min(bucket_start) AS first, max(bucket_start) AS last FROM sensor_hour
      WHERE ${ofSensors(context, sensors)} AND bucket_start < ${bind('timestamp_us', before * MICROSECONDS)}`,
  )
  if (row?.first == null || row.last == null) return { first: null, last: null }
  const day = (micros: number) => Math.floor(micros / MICROSECONDS / DAY_SECONDS) * DAY_SECONDS
  return { first: day(row.first), last: day(row.last) + DAY_SECONDS }
}

/**
 * Condition on the column `sensor`. For all sensors of the hub there is none: to look for the sensor of each row in a
 * list takes longer than to read the row.
 */
export function ofSensors(context: QueryContext, sensors: readonly { readonly sensor: string }[]): Sql {
  if (sensors.length === context.sensors.length) return sql`true`
  return sql`sensor IN (SELECT unnest(${bindList(
    'text',
    sensors.map(row => row.sensor),
  )}))`
}

/** Items of a list parameter; an empty item is a slip. */
export function splitList(name: string, text: string): string[] {
  const items = text.split(',').map(item => item.trim())
  if (items.includes('')) throw invalid(name, `parameter ${name} is "${text}", which has an empty item`)
  return items
}

export function invalid(parameter: string, message: string): TelescopeError {
  return new TelescopeError('QUERY_INVALID', message, { parameter })
}
