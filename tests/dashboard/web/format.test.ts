import { describe, expect, it } from 'vitest'
import {
  economyName,
  formatCompact,
  formatFactor,
  formatRange,
  formatRate,
  formatShare,
  rankChange,
} from '../../../dashboard/web/format.ts'
import { formatPort, parsePort } from '../../../dashboard/web/port-text.ts'

const DAY = 86_400
const nov15 = Date.UTC(2026, 10, 15) / 1000

describe('numbers', () => {
  it.each([
    [null, '–'],
    [0, '0'],
    [0.01234, '0.012'],
    [1.234, '1.23'],
    [12.34, '12.3'],
    [123.4, '123'],
    [6600, '6,600'],
  ])('rate %s is %s', (value, text) => {
    expect(formatRate(value)).toBe(text)
  })

  it.each([
    [0, '0 %'],
    [0.0001, '<0.1 %'],
    [0.1234, '12.3 %'],
    [0.9999, '>99.9 %'],
    [1, '100 %'],
  ])('share %s is %s', (value, text) => {
    expect(formatShare(value)).toBe(text)
  })

  it('shortens for axes and factors', () => {
    expect([0, 0.05, 1500, 2_000_000].map(formatCompact)).toEqual(['0', '0.05', '1.5K', '2M'])
    expect([1.84, 130].map(formatFactor)).toEqual(['×1.8', '×130'])
  })
})

describe('formatRange', () => {
  it('names the last day, not the day after', () => {
    expect(formatRange({ since: nov15, until: nov15 + 7 * DAY })).toBe('Sun 15 Nov 2026 – Sat 21 Nov 2026')
    expect(formatRange({ since: nov15, until: nov15 + DAY })).toBe('Sun 15 Nov 2026')
  })
  it('shows clocks where they matter', () => {
    expect(formatRange({ since: nov15, until: nov15 + 3600 })).toBe('Sun 15 Nov 2026 00:00 – Sun 15 Nov 2026 01:00')
  })
})

describe('economyName', () => {
  it('falls back to the code', () => {
    expect(['VN', 'ZZ', 'not a code'].map(economyName)).toEqual(['Vietnam', 'Unknown economy', 'not a code'])
  })
})

describe('rankChange', () => {
  it('is told in places', () => {
    expect(rankChange(2, 5)).toEqual({ kind: 'up', places: 3 })
    expect(rankChange(5, 2)).toEqual({ kind: 'down', places: 3 })
    expect(rankChange(1, 1)).toEqual({ kind: 'same' })
    expect(rankChange(1, null)).toEqual({ kind: 'new' })
  })
})

describe('ports', () => {
  const seen = [
    { protocol: 'udp', service_port: 53, service: 'domain' },
    { protocol: 'tcp', service_port: 23, service: 'telnet' },
    { protocol: 'tcp', service_port: 53, service: 'domain' },
  ]
  it.each([
    ['23', { protocol: 'tcp', port: 23 }, 'seen under TCP'],
    ['53', { protocol: 'udp', port: 53 }, 'most seen under UDP'],
    ['9999', { protocol: 'tcp', port: 9999 }, 'not seen: TCP'],
    ['23/tcp', { protocol: 'tcp', port: 23 }, 'port first'],
    ['tcp/23', { protocol: 'tcp', port: 23 }, 'protocol first'],
    [' UDP 53 ', { protocol: 'udp', port: 53 }, 'spaces and capitals'],
    ['icmp 8/0', { protocol: 'icmp', port: 2048 }, 'type and code'],
    ['Telnet', { protocol: 'tcp', port: 23 }, 'by name'],
    ['70000', null, 'no such port'],
    ['foo/23', null, 'no such protocol'],
    ['gopher', null, 'a name not seen'],
    ['', null, 'nothing'],
  ] as [string, unknown, string][])('%s: %o (%s)', (text, key) => {
    expect(parsePort(text, seen)).toEqual(key)
  })

  it('are written back as they are read', () => {
    expect(formatPort('tcp', 23)).toBe('23/tcp')
    expect(formatPort('icmp', 2048)).toBe('icmp 8/0')
    expect(formatPort('gre', 0)).toBe('gre')
    expect(parsePort(formatPort('icmpv6', 32_768), [])).toEqual({ protocol: 'icmpv6', port: 32_768 })
  })
})
