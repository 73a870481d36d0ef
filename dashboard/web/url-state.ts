import { RECEIPT_STATES, type ReceiptState } from '../../schemas/catalog.ts'
import { protocolName, protocolNumber, TRAFFIC_CLASSES } from '../../schemas/protocol.ts'
import { DAY_SECONDS, formatDay, formatTime, HOUR_SECONDS, parseTime } from '../../schemas/time.ts'
import { type BucketSeconds, DEFAULT_PRESET, isPreset, type RangeChoice } from './range.ts'

/** What is looked at, as the address of the page says it: `/port/tcp/23?v=1&since=2026-11-15&until=2026-11-22`. */

export type Page =
  | { readonly name: 'home' }
  | { readonly name: 'port'; readonly protocol: string; readonly port: number }
  | { readonly name: 'uploads' }
  | { readonly name: 'sign-in' }
  | { readonly name: 'unknown'; readonly path: string }

export const MEASURES = ['rate', 'packets', 'sources'] as const
export type Measure = (typeof MEASURES)[number]
export const GROUPINGS = ['class', 'protocol', 'sensor'] as const
export type Grouping = (typeof GROUPINGS)[number]
export const ROW_LIMITS = [10, 25, 100] as const

/** Filters are sorted and hold no value twice; an empty one lets everything through. */
export const FILTER_NAMES = ['class', 'protocol', 'sensor', 'economy'] as const
export type FilterName = (typeof FILTER_NAMES)[number]
export type Filters = Readonly<Record<FilterName, readonly string[]>>

export interface View {
  readonly page: Page
  readonly range: RangeChoice
  readonly filters: Filters
  readonly measure: Measure
  readonly by: Grouping
  readonly bucket: BucketSeconds | 'auto'
  /** Whether ranks stand beside those of the period before. */
  readonly compare: 'previous' | 'none'
  readonly rows: (typeof ROW_LIMITS)[number]
  /** Which uploads are listed. */
  readonly receipts: ReceiptState | 'all'
}

type MutableView = { -readonly [K in keyof View]: View[K] }

export interface ParsedView {
  readonly view: View
  /** Parts of the address that were not understood and are left out, as `name=value`. */
  readonly ignored: readonly string[]
}

/** Raised when an old link would mean something else. */
const URL_VERSION = '1'
export const NO_FILTERS: Filters = { class: [], protocol: [], sensor: [], economy: [] }

const BUCKET_NAMES = { hour: HOUR_SECONDS, day: DAY_SECONDS } as const

/** What a port page asks first is where a port is seen; the home page what kind of traffic it is. */
export function defaultGrouping(page: Page): Grouping {
  return page.name === 'port' ? 'sensor' : 'class'
}

export function defaultView(page: Page): View {
  return {
    page,
    range: DEFAULT_PRESET,
    filters: NO_FILTERS,
    measure: 'rate',
    by: defaultGrouping(page),
    bucket: 'auto',
    compare: 'previous',
    rows: 10,
    receipts: 'all',
  }
}

/** Another page with the same range and filters; a port page says its protocol itself. */
export function viewOf(page: Page, from: View): View {
  const filters = page.name === 'port' ? { ...from.filters, protocol: [] } : from.filters
  return { ...from, page, filters, by: defaultGrouping(page), receipts: 'all' }
}

/** Sorted, without doubles: equal filters have equal addresses. */
export function filterValues(values: Iterable<string>): string[] {
  return [...new Set(values)].sort()
}

const FILTER_CHECKS: Readonly<Record<FilterName, (value: string) => boolean>> = {
  class: value => (TRAFFIC_CLASSES as readonly string[]).includes(value),
  protocol: value => protocolNumber(value) !== null && protocolName(protocolNumber(value)!) === value,
  sensor: value => /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/.test(value),
  economy: value => /^[A-Z]{2}$/.test(value),
}

function pagePath(page: Page): string {
  if (page.name === 'home') return '/'
  if (page.name === 'port') return `/port/${page.protocol}/${page.port}`
  return page.name === 'unknown' ? page.path : `/${page.name}`
}

function parsePage(path: string): Page {
  if (path === '/' || path === '/index.html') return { name: 'home' }
  if (path === '/sign-in') return { name: 'sign-in' }
  if (path === '/uploads') return { name: 'uploads' }
  const match = /^\/port\/([a-z0-9]+)\/(\d{1,5})\/?$/.exec(path)
  const number = match ? protocolNumber(match[1]!) : null
  const port = match ? Number(match[2]) : 0
  if (number === null || port > 65_535) return { name: 'unknown', path }
  return { name: 'port', protocol: protocolName(number), port }
}

function timeText(seconds: number): string {
  return seconds % DAY_SECONDS === 0 ? formatDay(seconds) : formatTime(seconds).replace(':00Z', 'Z')
}

/** The address of a view: path and query. What is as usual is left out, so that the plain page has a plain address. */
export function formatView(view: View): string {
  const query: [string, string][] = []
  if (typeof view.range !== 'string') {
    query.push(['since', timeText(view.range.since)], ['until', timeText(view.range.until)])
  } else if (view.range !== DEFAULT_PRESET) query.push(['range', view.range])
  for (const name of FILTER_NAMES) if (view.filters[name].length > 0) query.push([name, view.filters[name].join(',')])
  if (view.measure !== 'rate') query.push(['measure', view.measure])
  if (view.by !== defaultGrouping(view.page)) query.push(['by', view.by])
  if (view.bucket !== 'auto') query.push(['bucket', view.bucket === HOUR_SECONDS ? 'hour' : 'day'])
  if (view.compare !== 'previous') query.push(['compare', view.compare])
  if (view.rows !== 10) query.push(['rows', String(view.rows)])
  if (view.receipts !== 'all') query.push(['state', view.receipts])
  if (query.length === 0) return pagePath(view.page)
  const text = [['v', URL_VERSION], ...query].map(([name, value]) => `${name}=${value}`).join('&')
  return `${pagePath(view.page)}?${text}`
}

/** Reads an address; what cannot be used is named in `ignored`, never guessed. */
export function parseView(url: URL): ParsedView {
  const page = parsePage(url.pathname)
  const view: MutableView = { ...defaultView(page) }
  const ignored: string[] = []
  const times: { since?: string; until?: string } = {}
  for (const [name, value] of url.searchParams) {
    if (!readParameter(view, times, name, value)) ignored.push(`${name}=${value}`)
  }
  const fixed = fixedRange(times)
  if (fixed) view.range = fixed
  else ignored.push(...Object.entries(times).map(([name, value]) => `${name}=${value}`))
  return { view, ignored }
}

function readParameter(
  view: MutableView,
  times: { since?: string; until?: string },
  name: string,
  value: string,
): boolean {
  switch (name) {
    case 'v':
      return value === URL_VERSION
    case 'since':
    case 'until':
      times[name] = value
      return true
    case 'range':
      if (!isPreset(value)) return false
      view.range = value
      return true
    case 'class':
    case 'protocol':
    case 'sensor':
    case 'economy': {
      const values = filterValues(value.split(','))
      if (!values.every(FILTER_CHECKS[name]) || (name === 'protocol' && view.page.name === 'port')) return false
      view.filters = { ...view.filters, [name]: values }
      return true
    }
    case 'measure':
      return pick(MEASURES, value, choice => {
        view.measure = choice
      })
    case 'by':
      return pick(GROUPINGS, value, choice => {
        view.by = choice
      })
    case 'bucket':
      if (value !== 'hour' && value !== 'day') return false
      view.bucket = BUCKET_NAMES[value]
      return true
    case 'compare':
      if (value !== 'previous' && value !== 'none') return false
      view.compare = value
      return true
    case 'rows':
      return pick(ROW_LIMITS, value, choice => {
        view.rows = choice
      })
    case 'state':
      return pick(RECEIPT_STATES, value, choice => {
        view.receipts = choice
      })
    default:
      return false
  }
}

function pick<T extends string | number>(choices: readonly T[], value: string, use: (choice: T) => void): boolean {
  const found = choices.find(choice => String(choice) === value)
  if (found !== undefined) use(found)
  return found !== undefined
}

function fixedRange(times: { since?: string; until?: string }): { since: number; until: number } | null {
  if (times.since === undefined || times.until === undefined) return null
  try {
    const since = parseTime(times.since)
    const until = parseTime(times.until)
    const onHours = since % HOUR_SECONDS === 0 && until % HOUR_SECONDS === 0
    return onHours && since < until ? { since, until } : null
  } catch {
    return null
  }
}
