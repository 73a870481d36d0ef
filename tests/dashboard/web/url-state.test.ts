import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  defaultGrouping,
  defaultView,
  FILTER_NAMES,
  filterValues,
  formatView,
  GROUPINGS,
  MEASURES,
  type Page,
  parseView,
  ROW_LIMITS,
  type View,
  viewOf,
} from '../../../dashboard/web/url-state.ts'
import { RECEIPT_STATES } from '../../../schemas/catalog.ts'
import { protocolName } from '../../../schemas/protocol.ts'

function parse(text: string) {
  return parseView(new URL(text, 'http://hub.test'))
}

const page: fc.Arbitrary<Page> = fc.oneof(
  fc.constant({ name: 'home' } as const),
  fc.constant({ name: 'uploads' } as const),
  fc.record({
    name: fc.constant('port' as const),
    protocol: fc.integer({ min: 0, max: 255 }).map(protocolName),
    port: fc.integer({ min: 0, max: 65_535 }),
  }),
)

const hour = fc.integer({ min: 0, max: 700_000 }).map(hours => hours * 3600)
const range = fc.oneof(
  fc.constantFrom('24h' as const, '7d' as const, '28d' as const, 'all' as const),
  fc.tuple(hour, hour).map(([a, b]) => ({ since: Math.min(a, b), until: Math.max(a, b) + 3600 })),
)
const list = (value: fc.Arbitrary<string>) => fc.array(value, { maxLength: 4 }).map(filterValues)
const sensor = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/)
const view: fc.Arbitrary<View> = page.chain(chosen =>
  fc.record({
    page: fc.constant(chosen),
    range,
    filters: fc.record({
      class: list(fc.constantFrom('scan', 'backscatter', 'other')),
      protocol: chosen.name === 'port' ? fc.constant([]) : list(fc.integer({ min: 0, max: 255 }).map(protocolName)),
      sensor: list(sensor),
      economy: list(fc.stringMatching(/^[A-Z]{2}$/)),
    }),
    measure: fc.constantFrom(...MEASURES),
    by: fc.constantFrom(...GROUPINGS),
    bucket: fc.constantFrom('auto' as const, 3600 as const, 86_400 as const),
    compare: fc.constantFrom('previous' as const, 'none' as const),
    rows: fc.constantFrom(...ROW_LIMITS),
    receipts: fc.constantFrom('all' as const, ...RECEIPT_STATES),
  }),
)

describe('formatView and parseView', () => {
  it('give back every view', () => {
    fc.assert(
      fc.property(view, value => {
        expect(parse(formatView(value))).toEqual({ view: value, ignored: [] })
      }),
      { numRuns: 500 },
    )
  })

  it('say what is as usual with a plain address', () => {
    expect(formatView(defaultView({ name: 'home' }))).toBe('/')
    expect(formatView(defaultView({ name: 'port', protocol: 'tcp', port: 23 }))).toBe('/port/tcp/23')
  })

  it('write an address that people can read', () => {
    const text = formatView({
      ...defaultView({ name: 'port', protocol: 'tcp', port: 23 }),
      range: { since: Date.UTC(2026, 10, 15) / 1000, until: Date.UTC(2026, 10, 22, 10) / 1000 },
      filters: { class: ['scan'], protocol: [], sensor: [], economy: ['TW', 'VN'] },
      measure: 'sources',
    })
    expect(text).toBe(
      '/port/tcp/23?v=1&since=2026-11-15&until=2026-11-22T10:00Z&class=scan&economy=TW,VN&measure=sources',
    )
  })
})

describe('parseView', () => {
  it.each([
    { text: '/?v=2', ignored: ['v=2'], why: 'another version may mean other things' },
    { text: '/?class=noise', ignored: ['class=noise'], why: 'no such class' },
    { text: '/?colour=red', ignored: ['colour=red'], why: 'no such parameter' },
    { text: '/?economy=vn', ignored: ['economy=vn'], why: 'codes are upper case' },
    { text: '/?since=2026-11-15', ignored: ['since=2026-11-15'], why: 'half a range is none' },
    {
      text: '/?since=2026-11-22&until=2026-11-15',
      ignored: ['since=2026-11-22', 'until=2026-11-15'],
      why: 'the end is before the start',
    },
    {
      text: '/?since=2026-11-15T00:30Z&until=2026-11-16',
      ignored: ['since=2026-11-15T00:30Z', 'until=2026-11-16'],
      why: 'not on an hour',
    },
    { text: '/port/tcp/23?protocol=udp', ignored: ['protocol=udp'], why: 'the path says the protocol' },
    { text: '/uploads?state=lost', ignored: ['state=lost'], why: 'no such state' },
    { text: '/?rows=11', ignored: ['rows=11'], why: 'not offered' },
    { text: '/?range=7d&v=1', ignored: [], why: 'all understood' },
  ])('$text: $why', ({ text, ignored }) => {
    const parsed = parse(text)
    expect(parsed.ignored).toEqual(ignored)
    expect(parsed.view).toEqual(defaultView(parsed.view.page))
  })

  it.each([
    { path: '/port/6/23', page: { name: 'port', protocol: 'tcp', port: 23 } },
    { path: '/port/icmp/2048', page: { name: 'port', protocol: 'icmp', port: 2048 } },
    { path: '/port/132/9', page: { name: 'port', protocol: 'sctp', port: 9 } },
    { path: '/port/tcp/70000', page: { name: 'unknown', path: '/port/tcp/70000' } },
    { path: '/port/telnet/23', page: { name: 'unknown', path: '/port/telnet/23' } },
    { path: '/uploads', page: { name: 'uploads' } },
    { path: '/sign-in', page: { name: 'sign-in' } },
    { path: '/nowhere', page: { name: 'unknown', path: '/nowhere' } },
  ])('$path is a page', ({ path, page: expected }) => {
    expect(parse(path).view.page).toEqual(expected)
  })
})

describe('viewOf', () => {
  it('keeps range and filters, and lets the port say its protocol', () => {
    const home: View = {
      ...defaultView({ name: 'home' }),
      range: '28d',
      filters: { class: ['scan'], protocol: ['tcp'], sensor: ['jp-tokyo'], economy: [] },
    }
    const port = viewOf({ name: 'port', protocol: 'udp', port: 53 }, home)
    expect(port.range).toBe('28d')
    expect(port.filters).toEqual({ class: ['scan'], protocol: [], sensor: ['jp-tokyo'], economy: [] })
    expect(port.by).toBe(defaultGrouping(port.page))
    expect(FILTER_NAMES.every(name => Array.isArray(port.filters[name]))).toBe(true)
  })
})
