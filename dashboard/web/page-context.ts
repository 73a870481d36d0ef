import type { QueryRow, Status } from '../../schemas/api.ts'
import { formatTime } from '../../schemas/time.ts'
import { type BucketSeconds, chooseBucket, type TimeRange } from './range.ts'
import type { Filters, View } from './url-state.ts'

/** What every part of a page is given: what is looked at, and what the hub says about itself. */
export interface PageContext {
  readonly view: View
  /** The view's range as times. */
  readonly range: TimeRange
  /** The days that have data. */
  readonly data: TimeRange
  readonly status: Status
  /** All sensors, in the range; empty until read. */
  readonly sensors: readonly QueryRow<'sensors'>[]
  /** Changes when the hub has counted more, so that what is shown is read again. */
  readonly revision: number
}

/** Asks the app to show another view; `stack` is what zooming out goes back to. */
export function navigate(view: View, options: { replace?: boolean; zoomedFrom?: View['range'] } = {}): void {
  window.dispatchEvent(new CustomEvent('hirundo-navigate', { detail: { view, ...options } }))
}

export interface NavigateDetail {
  readonly view: View
  readonly replace?: boolean
  readonly zoomedFrom?: View['range']
}

export function rangeParameters(range: TimeRange): { since: string; until: string } {
  return { since: formatTime(range.since), until: formatTime(range.until) }
}

/** Filters as the hub takes them; a port page's own port and protocol stand in for the filters. */
export function filterParameters(view: View, filters: Filters = view.filters): Record<string, string> {
  const { page } = view
  const protocol = page.name === 'port' ? page.protocol : filters.protocol.join(',')
  return Object.fromEntries(
    Object.entries({
      class: filters.class.join(','),
      protocol,
      port: page.name === 'port' ? String(page.port) : '',
      sensor: filters.sensor.join(','),
      economy: filters.economy.join(','),
    }).filter(([, value]) => value !== ''),
  )
}

export function bucketOf(context: PageContext): BucketSeconds {
  return chooseBucket(context.range, context.view.bucket)
}

/** Names of the sensors that the view rests on, in order. */
export function sensorNames(context: PageContext): string[] {
  const { sensor } = context.view.filters
  return context.sensors.map(row => row.sensor).filter(name => sensor.length === 0 || sensor.includes(name))
}
