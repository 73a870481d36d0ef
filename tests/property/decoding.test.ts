import { readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decode } from '../../collector/decode.ts'
import { Packet } from '../../collector/packet.ts'
import { packetCsv } from '../../collector/packet-line.ts'
import { pcap } from '../support/capture-builder.ts'
import { ROOT } from '../support/external.ts'
import { concat, ethernet, hex, icmp, ipv4, ipv6, tcp, udp } from '../support/frame-builder.ts'
import { fieldsOutOfBounds } from '../support/packet-bounds.ts'
import { readPackets } from '../support/read-packets.ts'

// Goal: nothing that can stand in a capture makes reading throw, hang, read past what was captured, or depend on how
// the bytes arrived. A failure prints the seed and the smallest input; put both into a case of the unit tests.

const LINK_TYPES = [0, 1, 9, 12, 14, 50, 51, 101, 104, 108, 113, 127, 228, 229, 276]

const FRAMES: readonly Uint8Array[] = [
  ethernet(0x0800, ipv4({}, tcp({ options: hex('020405b40402080a000000010000000001030307') }))),
  ethernet(0x8100, concat(hex('0007 0800'), ipv4({ protocol: 17, options: hex('94040000') }, udp(53, 40000)))),
  ethernet(0x8847, concat(hex('00010040 00020140'), ipv4({ protocol: 1 }, icmp(3, 3, ipv4({}, tcp()))))),
  ethernet(0x8864, concat(hex('1100 0001 003e 0057'), ipv6({ next: 0 }, concat(hex('0600c20400000014'), tcp())))),
  ethernet(0x86dd, ipv6({ next: 44 }, concat(hex('3a00 0001 12345678'), icmp(1, 4, ipv6({}, tcp()))))),
  ethernet(0x894f, concat(hex('0fc2 0101 00000000'), ipv4({}, tcp()))),
  ethernet(60, concat(hex('aaaa03 000000 0800'), ipv4({}, tcp()))),
]

/** A frame of our own with some bytes changed, or random bytes. */
const frameArbitrary = fc.oneof(
  fc.uint8Array({ maxLength: 120 }),
  fc
    .tuple(
      fc.constantFrom(...FRAMES),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
      fc.nat({ max: 140 }),
    )
    .map(([frame, changes, length]) => {
      const changed = frame.slice(0, length)
      for (const [at, value] of changes) if (changed.length > 0) changed[at % changed.length] = value
      return changed
    }),
)

function decoded(bytes: Uint8Array, offset: number, end: number, linkType: number): Packet {
  const packet = new Packet()
  Object.assign(packet, { linkType, capturedLength: end - offset, originalLength: end - offset })
  decode(bytes, offset, end, packet)
  return packet
}

describe('decode', () => {
  test('any bytes, any link type: no exception, every field within its bounds', () => {
    fc.assert(
      fc.property(frameArbitrary, fc.constantFrom(...LINK_TYPES), (frame, linkType) => {
        const packet = decoded(frame, 0, frame.length, linkType)
        expect(fieldsOutOfBounds(packet)).toEqual([])
        if (packet.drop < 0) expect(packet.ipVersion).not.toBe(0)
        expect(packetCsv(packet).split(',').length).toBe(22)
      }),
      { numRuns: 20_000 },
    )
  })

  test('what stands before and behind the frame changes nothing', () => {
    fc.assert(
      fc.property(frameArbitrary, fc.constantFrom(...LINK_TYPES), fc.nat(255), (frame, linkType, poison) => {
        const plain = decoded(frame, 0, frame.length, linkType)
        const around = concat(
          new Uint8Array(7).fill(poison),
          frame,
          new Uint8Array(300).map((_, at) => poison ^ at),
        )
        expect(decoded(around, 7, 7 + frame.length, linkType)).toEqual(plain)
      }),
      { numRuns: 20_000 },
    )
  })

  test('each of our frames cut at each byte: nothing behind the cut changes anything', () => {
    for (const frame of FRAMES) {
      for (let cut = 0; cut <= frame.length; cut++) {
        const plain = decoded(frame.slice(0, cut), 0, cut, 1)
        const poisoned = concat(frame.slice(0, cut), new Uint8Array(64).fill(0xa5))
        expect(decoded(poisoned, 0, cut, 1)).toEqual(plain)
        // The true continuation must not be seen either.
        expect(decoded(frame, 0, cut, 1)).toEqual(plain)
      }
    }
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
