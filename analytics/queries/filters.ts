import { parsePrefix, splitAddress } from '../../schemas/address.ts'
import { protocolNumber, TRAFFIC_CLASSES, type TrafficClass } from '../../schemas/protocol.ts'
import { MICROSECONDS } from '../../schemas/time.ts'
import { bind, bindList, join, type Sql, sql } from '../sql.ts'
import { invalid, ofSensors, type QueryContext, splitList, type TimeRange } from './request.ts'

/** Filters of a question as conditions; everything that was asked is a bound value. */

type Parameters = Readonly<Record<string, string | undefined>>

/**
 * Conditions on rows of an hourly rollup.
 * @throws QUERY_INVALID
 */
export function rollupConditions(
  context: QueryContext,
  range: TimeRange,
  sensors: readonly { readonly sensor: string }[],
  parameters: Parameters,
): Sql {
  return join(
    [
      ...timeAndSensor(sql`bucket_start`, context, range, sensors),
      ...serviceConditions(parameters),
      ...economy(parameters),
    ],
    ' AND ',
  )
}

/**
 * Conditions on flows of the lake.
 * @throws QUERY_INVALID, ADDRESS_INVALID
 */
export function flowConditions(
  context: QueryContext,
  range: TimeRange,
  sensors: readonly { readonly sensor: string }[],
  parameters: Parameters,
): Sql {
  return join(
    [
      ...timeAndSensor(sql`interval_start`, context, range, sensors),
      ...serviceConditions(parameters),
      ...source(parameters),
    ],
    ' AND ',
  )
}

function timeAndSensor(
  time: Sql,
  context: QueryContext,
  range: TimeRange,
  sensors: readonly { readonly sensor: string }[],
): Sql[] {
  return [
    sql`${time} >= ${bind('timestamp_us', range.since * MICROSECONDS)}`,
    sql`${time} < ${bind('timestamp_us', range.until * MICROSECONDS)}`,
    ofSensors(context, sensors),
  ]
}

function serviceConditions({ protocol, port, class: classes }: Parameters): Sql[] {
  const conditions: Sql[] = []
  if (protocol !== undefined) {
    const numbers = splitList('protocol', protocol).map(name => {
      const number = protocolNumber(name.toLowerCase())
      if (number === null) throw invalid('protocol', `parameter protocol has "${name}", expected a name or 0 to 255`)
      return number
    })
    conditions.push(sql`protocol IN (SELECT unnest(${bindList('uint8', numbers)}))`)
  }
  if (port !== undefined) conditions.push(sql`service_port = ${bind('uint16', Number(port))}`)
  if (classes !== undefined) {
    conditions.push(sql`class IN (SELECT unnest(${bindList('uint8', parseClasses(classes))}))`)
  }
  return conditions
}

/** Numbers of the classes that are asked for; all of them when none is named. */
export function parseClasses(text: string | undefined): number[] {
  if (text === undefined) return TRAFFIC_CLASSES.map((_, index) => index)
  return splitList('class', text).map(name => {
    const number = TRAFFIC_CLASSES.indexOf(name as TrafficClass)
    if (number < 0) throw invalid('class', `parameter class has "${name}", expected ${TRAFFIC_CLASSES.join(', ')}`)
    return number
  })
}

function economy({ economy: text }: Parameters): Sql[] {
  if (text === undefined) return []
  const economies = splitList('economy', text).map(code => code.toUpperCase())
  const wrong = economies.find(code => !/^[A-Z]{2}$/.test(code))
  if (wrong !== undefined)
    throw invalid('economy', `parameter economy has "${wrong}", expected two letters (ISO 3166-1)`)
  return [
    sql`(src_addr_high, src_addr_low) IN (SELECT (src_addr_high, src_addr_low) FROM source_economy
      WHERE economy IN (SELECT unnest(${bindList('text', economies)})))`,
  ]
}

function source({ src }: Parameters): Sql[] {
  if (src === undefined) return []
  const prefix = parsePrefix(src)
  const first = splitAddress(prefix.first)
  const last = splitAddress(prefix.last)
  // A prefix of 64 bits or less spans whole upper halves; a longer one lies within one.
  if (first.high === last.high) {
    return [
      sql`src_addr_high = ${bind('uint64', first.high)}`,
      sql`src_addr_low BETWEEN ${bind('uint64', first.low)} AND ${bind('uint64', last.low)}`,
    ]
  }
  return [sql`src_addr_high BETWEEN ${bind('uint64', first.high)} AND ${bind('uint64', last.high)}`]
}
