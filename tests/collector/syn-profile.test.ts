import { describe, expect, it } from 'vitest'
import { synProfileHigh, synProfileLow } from '../../collector/syn-profile.ts'
import { ethernet, hex, ipv4, tcp } from '../support/frame-builder.ts'
import { decodeFrame } from '../support/read-packets.ts'

// The 64 bits as FLOW.syn_profile describes them, taken apart again.

function profile(packet: Uint8Array) {
  const decoded = decodeFrame(ethernet(0x0800, packet))
  const bits = (BigInt(synProfileHigh(decoded)) << 32n) | BigInt(synProfileLow(decoded))
  const field = (from: number, count: number) => Number((bits >> BigInt(from)) & ((1n << BigInt(count)) - 1n))
  const kinds = [0, 1, 2, 3, 4, 5].map(index => field(39 + index * 4, 4))
  return {
    window: field(0, 16),
    mss: field(16, 16),
    scale: field(32, 4),
    df: field(36, 1),
    ttl: field(37, 2),
    kinds,
    more: field(63, 1),
  }
}

const LINUX = hex('020405b4 0402 080a0000000000000000 01 030307')

describe('SYN profile', () => {
  it.each([
    {
      why: 'Linux',
      packet: ipv4({ fragment: 0x4000 }, tcp({ window: 64_240, options: LINUX })),
      expected: { window: 64_240, mss: 1460, scale: 7, df: 1, ttl: 1, kinds: [2, 4, 8, 1, 3, 0], more: 0 },
    },
    {
      why: 'no options',
      packet: ipv4({ ttl: 255 }, tcp({ window: 1024 })),
      expected: { window: 1024, mss: 0, scale: 15, df: 0, ttl: 3, kinds: [0, 0, 0, 0, 0, 0], more: 0 },
    },
    {
      why: 'largest window and MSS, a scale above what counts, an option kind above 14',
      packet: ipv4({ ttl: 32 }, tcp({ window: 65_535, options: hex('0204ffff 0303ff 01 2204aabb') })),
      expected: { window: 65_535, mss: 65_535, scale: 14, df: 0, ttl: 0, kinds: [2, 3, 1, 15, 0, 0], more: 0 },
    },
    {
      why: 'more than six options',
      packet: ipv4({ ttl: 33 }, tcp({ options: hex('01010101 01010101') })),
      expected: { window: 1024, mss: 0, scale: 15, df: 0, ttl: 1, kinds: [1, 1, 1, 1, 1, 1], more: 1 },
    },
    {
      why: 'TTL 128',
      packet: ipv4({ ttl: 128 }, tcp()),
      expected: { window: 1024, mss: 0, scale: 15, df: 0, ttl: 2, kinds: [0, 0, 0, 0, 0, 0], more: 0 },
    },
  ])('$why', ({ packet, expected }) => expect(profile(packet)).toEqual(expected))
})
