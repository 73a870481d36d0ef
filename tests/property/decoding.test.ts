import { readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decode } from '../../collector/decode.ts'
import { VERIFY_CHECKSUMS } from '../../collector/decode-options.ts'
import { isLinkTypeSupported } from '../../collector/link-type.ts'
import { Packet } from '../../collector/packet.ts'
import { packetCsv } from '../../collector/packet-line.ts'
import { DROP_REASON_NAMES } from '../../schemas/drop-reason.ts'
import { pcap } from '../support/capture-builder.ts'
import { ROOT } from '../support/external.ts'
import {
  concat,
  ethernet,
  hex,
  icmp,
  ieee80211,
  ipv4,
  ipv6,
  little,
  snap,
  tcp,
  udp,
  withChecksums,
} from '../support/frame-builder.ts'
import { fieldsOutOfBounds } from '../support/packet-bounds.ts'
import { readPackets } from '../support/read-packets.ts'
import { SAMPLE_FRAMES } from '../support/sample-frames.ts'

// Goal: nothing that can stand in a capture makes reading throw, hang, read past what was captured, or depend on how
// the bytes arrived. A failure prints the seed and the smallest input; put both into a case of the unit tests.

/** All that are read, and one that is not. */
const LINK_TYPES = [...Array.from({ length: 300 }, (_, linkType) => linkType).filter(isLinkTypeSupported), 147]

/** All tunnels and checksums, none, and each alone. */
const DECODE_OPTIONS = [0, 0, 63, 31, VERIFY_CHECKSUMS, 1, 2, 4, 8, 16]

const TUNNELS: readonly Uint8Array[] = [
  ipv4({ protocol: 4 }, ipv4({ protocol: 41 }, ipv6({}, tcp()))),
  ipv4({ protocol: 47 }, concat(hex('b000 86dd 12340000 00000001 00000002'), ipv6({}, tcp()))),
  ipv4({ protocol: 47 }, concat(hex('3081 880b 002c0001 00000005 00000004 0021'), ipv4({}, tcp()))),
  ipv4(
    { protocol: 47 },
    concat(hex('1000 22eb 00000001 2001 0001 00000000 0000 8001 1122334455667788'), ethernet(0x0800, ipv4({}, tcp()))),
  ),
  ipv4({ protocol: 17 }, udp(9, 4789, concat(hex('08000000 00000100'), ethernet(0x0800, ipv4({}, tcp()))))),
  ipv4({ protocol: 17 }, udp(9, 6081, concat(hex('0100 86dd 00000100 01020000'), ipv6({}, tcp())))),
]

const FRAMES: readonly Uint8Array[] = [
  ...SAMPLE_FRAMES,
  ethernet(0x86dd, ipv6({ next: 58 }, icmp(3, 0, ipv6({ next: 60 }, concat(hex('1100 0104 00000000'), udp(5, 53)))))),
  ethernet(0x0800, withChecksums(ipv4({ protocol: 17 }, udp(53, 40_000, hex('0102030405'))))),
  ...TUNNELS.map(tunnel => ethernet(0x0800, tunnel)),
]

/** Frames of other link types, each begun by its own headers. */
const LINK_FRAMES: readonly (readonly [number, Uint8Array])[] = [
  [105, ieee80211(0x0800, ipv4({}, tcp()))],
  [127, concat(hex('0000 1100 03000000 1122334455667788 30'), ieee80211(0x86dd, ipv6({}, tcp())), hex('deadbeef'))],
  [163, concat(hex('80211001 00000010'), new Uint8Array(8), ieee80211(0x0800, ipv4({}, tcp())))],
  [
    192,
    concat(
      hex('0000 2000 69000000 0200 1400 0000000000000000 0100'),
      new Uint8Array(10),
      ieee80211(0x0800, ipv4({}, tcp())),
      hex('deadbeef'),
    ),
  ],
  [239, concat(hex('02000000 0800 0100 08000100'), little(44, 2), hex('0900'), ipv4({}, tcp()))],
  [258, concat(hex('0c000000 01000000 01000000'), ethernet(0x0800, ipv4({}, tcp())))],
  [6, concat(hex('1040 020000000002 820000000001 0690 0011 0020'), snap(0x0800), ipv4({}, tcp()))],
  [10, concat(hex('50 020000000002 020000000001'), snap(0x86dd), ipv6({}, tcp()))],
  [107, concat(hex('0c31 03 00 80 0080c2 0007'), ethernet(0x0800, ipv4({}, tcp())))],
  [117, concat(hex('3d02'), new Uint8Array(62), ipv4({}, tcp()))],
  [285, concat(hex('020000000002 020000000001 dada 0000 c0080000 86dd'), ipv6({}, tcp()))],
]

/** A frame with its own link type, some bytes changed. */
const ownLinkArbitrary = fc
  .tuple(fc.constantFrom(...LINK_FRAMES), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }))
  .map(([[linkType, frame], changes]): [Uint8Array, number] => {
    const changed = frame.slice()
    for (const [at, value] of changes) changed[at % changed.length] = value
    return [changed, linkType]
  })

/** A frame of our own with some bytes changed, or random bytes. */
const frameArbitrary = fc.oneof(
  fc.uint8Array({ maxLength: 120 }),
  fc
    .tuple(
      fc.constantFrom(...FRAMES, ...LINK_FRAMES.map(([, frame]) => frame)),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
      fc.nat({ max: 140 }),
    )
    .map(([frame, changes, length]) => {
      const changed = frame.slice(0, length)
      for (const [at, value] of changes) if (changed.length > 0) changed[at % changed.length] = value
      return changed
    }),
)

const linkedArbitrary = fc.oneof(fc.tuple(frameArbitrary, fc.constantFrom(...LINK_TYPES)), ownLinkArbitrary)
const optionsArbitrary = fc.constantFrom(...DECODE_OPTIONS)

function decoded(bytes: Uint8Array, offset: number, end: number, linkType: number, decodeOptions = 0): Packet {
  const packet = new Packet()
  Object.assign(packet, { decodeOptions, linkType, capturedLength: end - offset, originalLength: end - offset })
  decode(bytes, offset, end, packet)
  return packet
}

describe('decode', () => {
  test('any bytes, any link type: no exception, every field within its bounds', () => {
    fc.assert(
      fc.property(linkedArbitrary, optionsArbitrary, ([frame, linkType], options) => {
        const packet = decoded(frame, 0, frame.length, linkType, options)
        expect(fieldsOutOfBounds(packet)).toEqual([])
        if (packet.drop < 0) expect(packet.ipVersion).not.toBe(0)
        expect(packetCsv(packet).split(',').length).toBe(22)
      }),
      { numRuns: 20_000 },
    )
  })

  test('what stands before and behind the frame changes nothing', () => {
    fc.assert(
      fc.property(linkedArbitrary, optionsArbitrary, fc.nat(255), ([frame, linkType], options, poison) => {
        const plain = decoded(frame, 0, frame.length, linkType, options)
        const around = concat(
          new Uint8Array(7).fill(poison),
          frame,
          new Uint8Array(300).map((_, at) => poison ^ at),
        )
        expect(decoded(around, 7, 7 + frame.length, linkType, options)).toEqual(plain)
      }),
      { numRuns: 20_000 },
    )
  })

  test.each([0, 63])('each of our frames cut at each byte: nothing behind the cut changes anything', options => {
    for (const [linkType, frame] of [...FRAMES.map(frame => [1, frame] as const), ...LINK_FRAMES]) {
      expect(decoded(frame, 0, frame.length, linkType).ipVersion).not.toBe(0)
      for (let cut = 0; cut <= frame.length; cut++) {
        const plain = decoded(frame.slice(0, cut), 0, cut, linkType, options)
        const poisoned = concat(frame.slice(0, cut), new Uint8Array(64).fill(0xa5))
        expect(decoded(poisoned, 0, cut, linkType, options)).toEqual(plain)
        // The true continuation must not be seen either.
        expect(decoded(frame, 0, cut, linkType, options)).toEqual(plain)
      }
    }
  })

  test('tunnels and checksums change nothing for a packet without either', () => {
    fc.assert(
      fc.property(linkedArbitrary, ([frame, linkType]) => {
        const plain = decoded(frame, 0, frame.length, linkType)
        const isTunnel = [4, 17, 41, 47].includes(plain.protocol)
        if (!isTunnel) expect(decoded(frame, 0, frame.length, linkType, 31)).toEqual({ ...plain, decodeOptions: 31 })
        const verified = decoded(frame, 0, frame.length, linkType, VERIFY_CHECKSUMS)
        const isDropped = /_checksum_invalid$/.test(DROP_REASON_NAMES[verified.drop] ?? '')
        const expected = { ...plain, decodeOptions: VERIFY_CHECKSUMS, drop: isDropped ? verified.drop : plain.drop }
        expect(verified).toEqual(expected)
        if (isDropped) expect(plain.drop).toBe(-1)
      }),
      { numRuns: 10_000 },
    )
  })

  test('a longer capture of the same frame never knows less', () => {
    fc.assert(
      fc.property(fc.constantFrom(...FRAMES), fc.nat(140), (frame, cut) => {
        const part = decoded(frame, 0, Math.min(cut, frame.length), 1)
        const whole = decoded(frame, 0, frame.length, 1)
        // Lengths of the frame are told apart from what is in it.
        for (const field of ['ttl', 'ipId', 'srcPort', 'dstPort', 'icmpType', 'tcpFlags', 'tcpWindow'] as const) {
          if (part[field] !== -1) expect(part[field]).toBe(whole[field])
        }
      }),
    )
  })
})

const FIXTURES = `${ROOT}fixtures/captures/`
const CAPTURES = readdirSync(FIXTURES)
  .filter(name => /\.(pcap|pcapng|pcap\.gz)$/.test(name))
  .map(name => {
    const bytes = new Uint8Array(readFileSync(FIXTURES + name))
    return { name, bytes: name.endsWith('.gz') ? new Uint8Array(gunzipSync(bytes)) : bytes }
  })

async function lines(bytes: Uint8Array, pieceBytes?: readonly number[]): Promise<string[]> {
  const { packets, result } = await readPackets(bytes, pieceBytes ? { pieceBytes } : {})
  return [...packets.map(packetCsv), JSON.stringify({ ...result, bytesRead: 0 })]
}

describe('captures', () => {
  test('there are captures to try', () => {
    expect(CAPTURES.length).toBeGreaterThan(20)
  })

  test('cut into reads of any size: the same packets', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...CAPTURES),
        fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 5 }),
        async ({ bytes }, pieceBytes) => {
          expect(await lines(bytes, pieceBytes)).toEqual(await lines(bytes))
        },
      ),
      { numRuns: 150 },
    )
  }, 60_000)

  test('read byte by byte: the same packets', async () => {
    for (const { bytes } of CAPTURES.slice(0, 6)) expect(await lines(bytes, [1])).toEqual(await lines(bytes))
  }, 60_000)

  test('cut short anywhere: the packets before the cut, and an error that says where', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...CAPTURES),
        fc.double({ min: 0, max: 1, noNaN: true }),
        async (capture, at) => {
          const { bytes } = capture
          const cut = Math.floor(at * (bytes.length - 1))
          const whole = await readPackets(bytes)
          const part = await readPackets(bytes.slice(0, cut))
          expect(part.packets.map(packetCsv)).toEqual(whole.packets.slice(0, part.packets.length).map(packetCsv))
          // A cut between two records cannot be seen; any other is an error at the cut.
          if (part.result.error && cut >= 4) {
            expect(part.result.error).toMatchObject({ code: 'CAPTURE_TRUNCATED', offset: cut })
          }
        },
      ),
      { numRuns: 300 },
    )
  }, 60_000)

  test('bytes changed anywhere: no exception, and an error has its offset within the capture', async () => {
    const changes = fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(255)), {
      minLength: 1,
      maxLength: 8,
    })
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...CAPTURES), changes, async ({ bytes }, mutations) => {
        const mutated = bytes.slice()
        for (const [at, value] of mutations) mutated[Math.floor(at * (bytes.length - 1))] = value
        const { packets, result } = await readPackets(mutated)
        expect(packets.length).toBe(result.packetsRead)
        if (result.error?.offset != null) expect(result.error.offset).toBeLessThanOrEqual(bytes.length)
      }),
      { numRuns: 2000 },
    )
  }, 60_000)

  test('random bytes behind a good start', async () => {
    const start = pcap([])
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), fc.boolean(), async (noise, isHeaded) => {
        const { packets, result } = await readPackets(isHeaded ? concat(start, noise) : noise)
        expect(packets.length).toBe(result.packetsRead)
      }),
      { numRuns: 1000 },
    )
  })
})
