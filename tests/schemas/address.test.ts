import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  countIpv4Addresses,
  formatAddress,
  formatPrefix,
  ipv4ToAddress,
  isIpv4,
  joinAddress,
  parseAddress,
  parsePrefix,
  parseTelescope,
  prefixesOverlap,
  splitAddress,
} from '../../schemas/address.ts'
import { TelescopeError } from '../../schemas/errors.ts'

function codeOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    if (error instanceof TelescopeError) return error.code
    throw error
  }
  return 'nothing thrown'
}

describe('address text', () => {
  it.each([
    ['0.0.0.0', '0.0.0.0', 'lowest'],
    ['255.255.255.255', '255.255.255.255', 'highest'],
    ['2001:DB8::1', '2001:db8::1', 'RFC 5952 4.3: lower case'],
    ['2001:0db8:0:0:0:0:0:1', '2001:db8::1', 'RFC 5952 4.1: no leading zeros'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1', 'RFC 5952 4.2.2: one group is not shortened'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1', 'RFC 5952 4.2.3: the longest run'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1', 'RFC 5952 4.2.3: the first of equals'],
    ['::', '::', 'all zero'],
    ['fe80::', 'fe80::', 'run at the end'],
    ['::ffff:192.0.2.1', '192.0.2.1', 'mapped IPv4 is IPv4'],
    ['::192.0.2.1', '::c000:201', 'IPv4-compatible is IPv6'],
  ])('%s is written %s (%s)', (text, written) => {
    expect(formatAddress(parseAddress(text))).toBe(written)
  })

  it.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '01.2.3.4',
    '1.2.3.4 ',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '12345::',
    'g::',
    '::1.2.3',
    'host',
  ])('"%s" is no address', text => {
    expect(codeOf(() => parseAddress(text))).toBe('ADDRESS_INVALID')
  })

  it('survives being written and read, for every address', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 128n - 1n), address => {
        expect(parseAddress(formatAddress(address))).toBe(address)
        const { high, low } = splitAddress(address)
        expect(joinAddress(high, low)).toBe(address)
      }),
    )
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        value =>
          isIpv4(ipv4ToAddress(value)) && parseAddress(formatAddress(ipv4ToAddress(value))) === ipv4ToAddress(value),
      ),
    )
  })
})

describe('a telescope', () => {
  it('counts IPv4 addresses only', () => {
    expect(countIpv4Addresses(parseTelescope('192.0.2.0/24,198.51.100.7,2001:db8::/64'))).toBe(257)
    expect(countIpv4Addresses(parseTelescope('2001:db8::/64'))).toBe(0)
    expect(countIpv4Addresses(parseTelescope('0.0.0.0/0'))).toBe(2 ** 32)
  })

  it('is read in address order and written as it was meant', () => {
    expect(parseTelescope('2001:db8::/64, 198.51.100.0/25 ,192.0.2.1').map(formatPrefix)).toEqual([
      '192.0.2.1/32',
      '198.51.100.0/25',
      '2001:db8::/64',
    ])
  })

  it.each([
    ['192.0.2.1/24', 'ADDRESS_INVALID', 'host bits'],
    ['192.0.2.0/33', 'ADDRESS_INVALID', 'too long'],
    ['192.0.2.0/', 'ADDRESS_INVALID', 'no length'],
    ['2001:db8::/129', 'ADDRESS_INVALID', 'too long'],
    ['192.0.2.0/24,192.0.2.128/25', 'PREFIX_OVERLAPS', 'one within the other'],
    ['', 'ADDRESS_INVALID', 'nothing'],
  ])('%s is refused with %s (%s)', (text, code) => {
    expect(codeOf(() => parseTelescope(text))).toBe(code)
  })

  it('names what was probably meant when host bits are set', () => {
    expect(() => parsePrefix('192.0.2.77/24')).toThrow(/192\.0\.2\.0\/24/)
  })

  it('overlaps when an address is in both', () => {
    const [a, b, c] = ['192.0.2.0/25', '192.0.2.128/25', '192.0.2.0/24'].map(parseTelescope) as [
      ReturnType<typeof parseTelescope>,
      ReturnType<typeof parseTelescope>,
      ReturnType<typeof parseTelescope>,
    ]
    expect([prefixesOverlap(a, b), prefixesOverlap(a, c), prefixesOverlap(b, c)]).toEqual([false, true, true])
  })
})
