import type { Status } from '../../schemas/api.ts'
import { DAY_SECONDS, formatTime } from '../../schemas/time.ts'

/*
 * What the page asks when it is loaded, in the order and with the parameters of dashboard/web (home-page.ts,
 * port-page.ts, uploads-page.ts, traffic-figure.ts, rising-read.ts): an analyst's last seven days. Questions of one
 * step are asked at once, as a browser does. Not asked is what needs an earlier week to compare with.
 */

/** Answers the path of a question; the name is that of the figure it is counted under. */
type AskHub = <T>(name: string, path: string) => Promise<T>

interface Range {
  readonly since: number
  readonly until: number
}

const RANGE_DAYS = 7
/** A port that everybody looks at. */
const PORT = { protocol: 'tcp', port: '23' }

/** Loads one page after the other. */
export const PAGE_LOADS: readonly ((ask: AskHub) => Promise<void>)[] = [home, port, uploads]

async function home(ask: AskHub): Promise<void> {
  const range = await dataRange(ask)
  if (range === null) return
  const ranked = { ...times(range), compare: 'previous', limit: '10' }
  const ports = ask('ports', question('ports', ranked))
  await Promise.all([
    ask('sensors', question('sensors', times(range))),
    ports,
    ask('economies', question('economies', ranked)),
    ask('sensor-health', '/api/v1/sensor-health'),
    ask('traffic by class', question('traffic', { ...times(range), bucket: '3600', by: 'class' })),
    ask('coverage', question('coverage', { ...times(range), bucket: '3600' })),
    ports.then(() => periods(ask, range)),
  ])
}

async function port(ask: AskHub): Promise<void> {
  const range = await dataRange(ask)
  if (range === null) return
  const asked = { ...times(range), ...PORT }
  const hourly = { bucket: '3600' }
  const figures = [
    ask('ports, one', question('ports', { ...asked, compare: 'previous', limit: '1' })),
    ask('ports, 1000', question('ports', { ...times(range), compare: 'previous', limit: '1000' })),
  ]
  await Promise.all([
    ask('sensors', question('sensors', times(range))),
    ...figures,
    ask('sources of a port', question('sources', { ...asked, limit: '10' })),
    ask('economies of a port', question('economies', { ...asked, compare: 'previous', limit: '10' })),
    ask('traffic by sensor', question('traffic', { ...asked, ...hourly, by: 'sensor' })),
    ask('coverage', question('coverage', { ...times(range), ...hourly })),
    // The figure above asks the same again.
    ask('traffic by sensor', question('traffic', { ...asked, ...hourly, by: 'sensor' })),
    ask('coverage', question('coverage', { ...times(range), ...hourly })),
    Promise.all(figures).then(() => periods(ask, range)),
  ])
}

async function uploads(ask: AskHub): Promise<void> {
  await ask('status', '/api/v1/status')
  await Promise.all([
    ask('sensor-health', '/api/v1/sensor-health'),
    ask('receipts', '/api/v1/receipts?limit=100'),
    ask('sources', question('sources', { limit: '100' })),
  ])
}

/** Which sensors can be compared with the week before. */
async function periods(ask: AskHub, { since, until }: Range): Promise<void> {
  const both = times({ since: since - (until - since), until })
  await Promise.all([
    ask('coverage', question('coverage', { ...both, bucket: '86400' })),
    ask('sensors', question('sensors', both)),
  ])
}

/** The last days that have data; null as long as there is none. */
async function dataRange(ask: AskHub): Promise<Range | null> {
  const { data_until } = await ask<Status>('status', '/api/v1/status')
  if (data_until === null) return null
  const until = Date.parse(data_until) / 1000
  return { since: until - RANGE_DAYS * DAY_SECONDS, until }
}

function times({ since, until }: Range): Record<string, string> {
  return { since: formatTime(since), until: formatTime(until) }
}

function question(name: string, parameters: Record<string, string>): string {
  return `/api/v1/${name}?${new URLSearchParams(parameters)}`
}
