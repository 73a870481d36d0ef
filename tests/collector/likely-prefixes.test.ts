import { describe, expect, test } from 'vitest'
import { CaptureInspector } from '../../collector/capture-inspection.ts'
import { decode } from '../../collector/decode.ts'
import type { LikelyPrefix } from '../../collector/likely-prefixes.ts'
import { Packet } from '../../collector/packet.ts'
import { coverWithPrefixes } from '../../collector/prefix-cover.ts'
import { readCapture } from '../../collector/read-capture.ts'
import { formatPrefix, parseAddress, parsePrefix, parseTelescope } from '../../schemas/address.ts'
import { TCP_FLAG } from '../../schemas/protocol.ts'
import { ethernet, ipv4, ipv6, tcp, udp } from '../support/frame-builder.ts'
import { simulateTelescope } from '../support/simulated-telescope.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// Goal: the prefixes proposed for a capture are the dark ones of the sensor that made it, and no more. Method:
// telescopes whose prefixes are known, with the simulator's traffic, alone and among what else a sensor sees.

const newFolder = temporaryFolders()

/** Counts the packets of a simulated capture whose destination is in the telescope. */
async function addSimulated(inspector: CaptureInspector, capture: string, telescope: string): Promise<void> {
  const prefixes = parseTelescope(telescope)
  const result = await readCapture(capture, new Packet(), packet => {
    const { dst0, dst1, dst2, dst3 } = packet
    const upper = (BigInt(dst0) << 96n) | (BigInt(dst1) << 64n)
    const destination = upper | (BigInt(dst2) << 32n) | BigInt(dst3)
    if (prefixes.some(({ first, last }) => destination >= first && destination <= last)) inspector.add(packet)
  })
  expect(result.error).toBe(null)
}

function addFrame(inspector: CaptureInspector, frame: Uint8Array, times = 1): void {
  const packet = new Packet()
  packet.linkType = 1
  packet.seconds = 1_795_305_600
  packet.capturedLength = frame.length
  packet.originalLength = frame.length
  decode(frame, 0, frame.length, packet)
  for (let time = 0; time < times; time++) inspector.add(packet)
}

const tcpFrame = (src: string, dst: string, flags: number = TCP_FLAG.syn) =>
  ethernet(0x0800, ipv4({ src, dst }, tcp({ flags })))

const proposed = (inspector: CaptureInspector): string[] =>
  inspector
    .likelyPrefixes()
    .filter(prefix => prefix.proposed)
    .map(({ prefix, confidence }) => `${prefix} ${confidence}`)
    .sort()

describe('simulated telescopes', () => {
  test.each([
    { why: '/32', made: ['203.0.113.77/32'], packets: 300, truth: ['203.0.113.77/32 high'] },
    { why: '/28', made: ['203.0.113.16/28'], packets: 2000, truth: ['203.0.113.16/28 high'] },
    { why: '/28, few packets', made: ['203.0.113.16/28'], packets: 100, truth: ['203.0.113.16/28 high'] },
    { why: '/24', made: ['203.0.113.0/24'], packets: 5000, truth: ['203.0.113.0/24 high'] },
    { why: '/24, few packets', made: ['203.0.113.0/24'], packets: 250, truth: ['203.0.113.0/24 medium'] },
    {
      why: 'two /26',
      made: ['203.0.113.0/24'],
      only: '203.0.113.0/26,203.0.113.128/26',
      packets: 5000,
      truth: ['203.0.113.0/26 high', '203.0.113.128/26 high'],
    },
    {
      why: '/25 and /28 in one /24',
      made: ['203.0.113.0/24'],
      only: '203.0.113.128/25,203.0.113.32/28',
      packets: 10_000,
      truth: ['203.0.113.128/25 high', '203.0.113.32/28 high'],
    },
    { why: 'sparse /16', made: ['10.20.0.0/16'], packets: 6000, truth: ['10.20.0.0/16 medium'] },
    {
      why: '/20 and /24 far apart in a /16',
      made: ['10.20.0.0/16'],
      only: '10.20.16.0/20,10.20.200.0/24',
      packets: 80_000,
      truth: ['10.20.16.0/20 medium', '10.20.200.0/24 medium'],
    },
    {
      why: 'IPv6 /120',
      made: ['203.0.113.0/28', '2001:db8:d00d::/64'],
      only: '2001:db8:d00d::/120',
      packets: 40_000,
      truth: ['2001:db8:d00d::/120 high'],
    },
    {
      why: '/28 and an IPv6 /64, of which only some addresses are ever probed',
      made: ['203.0.113.0/28', '2001:db8:d00d::/64'],
      packets: 5000,
      truth: ['2001:db8:d00d::/64 medium', '203.0.113.0/28 high'],
    },
  ])('$why', async ({ made, only, packets, truth }) => {
    const inspector = new CaptureInspector()
    await addSimulated(inspector, simulateTelescope(newFolder(), made, packets), only ?? made.join(','))
    expect(proposed(inspector)).toEqual(truth)
  })

  test('other seeds', async () => {
    for (const seed of [2, 3, 4]) {
      const inspector = new CaptureInspector()
      await addSimulated(inspector, simulateTelescope(newFolder(), ['203.0.113.64/26'], 2000, seed), '203.0.113.64/26')
      expect(proposed(inspector), `seed ${seed}`).toEqual(['203.0.113.64/26 high'])
    }
  })

  test('what else a sensor sees is left out: its own talk, broadcasts, multicast, IPv6 neighbours', async () => {
    const inspector = new CaptureInspector()
    const [own, hub] = ['198.51.100.9', '192.0.2.200']
    addFrame(inspector, tcpFrame(own, hub), 1)
    addFrame(inspector, tcpFrame(own, hub, TCP_FLAG.ack), 400)
    addFrame(inspector, tcpFrame(hub, own, TCP_FLAG.ack | TCP_FLAG.psh), 300)
    // Servers that never answer, asked by the sensor alone.
    for (const server of ['192.0.2.53', '192.0.2.123']) {
      addFrame(inspector, ethernet(0x0800, ipv4({ protocol: 17, src: own, dst: server }, udp(123, 123))), 50)
    }
    for (const broadcast of ['198.51.100.255', '255.255.255.255', '224.0.0.251', '239.255.255.250', '169.254.7.7']) {
      for (const neighbour of ['198.51.100.3', '198.51.100.4', '198.51.100.5']) {
        addFrame(inspector, ethernet(0x0800, ipv4({ protocol: 17, src: neighbour, dst: broadcast }, udp(138, 138))), 90)
      }
    }
    for (const dst of ['ff02::1', 'fe80::7']) {
      addFrame(inspector, ethernet(0x86dd, ipv6({ src: 'fe80::1', dst, next: 17 }, udp(5353, 5353))), 90)
    }
    // The sensor's own address is scanned as much as any.
    for (let host = 1; host < 250; host++) addFrame(inspector, tcpFrame(`203.0.113.${host}`, own))
    await addSimulated(inspector, simulateTelescope(newFolder(), ['10.9.8.0/26'], 2000), '10.9.8.0/26')
    expect(proposed(inspector)).toEqual(['10.9.8.0/26 high'])
  })

  test('a host in use within the prefix is cut out; one forged packet in the name of a dark address is not', async () => {
    const inspector = new CaptureInspector()
    await addSimulated(inspector, simulateTelescope(newFolder(), ['203.0.113.0/28'], 4000), '203.0.113.0/28')
    addFrame(inspector, tcpFrame('203.0.113.9', '203.0.113.3'))
    addFrame(inspector, tcpFrame('203.0.113.5', '192.0.2.1', TCP_FLAG.ack), 300)
    addFrame(inspector, tcpFrame('192.0.2.1', '203.0.113.5', TCP_FLAG.ack), 300)
    expect(proposed(inspector)).toEqual(
      ['203.0.113.0/30 high', '203.0.113.4/32 high', '203.0.113.6/31 high', '203.0.113.8/29 high'].sort(),
    )
  })

  test('a host that is only heard, because the capture holds one direction, is known by its connections', async () => {
    const inspector = new CaptureInspector()
    await addSimulated(inspector, simulateTelescope(newFolder(), ['203.0.113.0/28'], 4000), '203.0.113.0/28')
    addFrame(inspector, tcpFrame('192.0.2.1', '198.51.100.9', TCP_FLAG.ack), 30)
    for (let host = 1; host < 60; host++) addFrame(inspector, tcpFrame(`192.0.2.${host}`, '198.51.100.9'))
    expect(proposed(inspector)).toEqual(['203.0.113.0/28 high'])
  })
})

describe('evidence', () => {
  test('counts what was seen', () => {
    const inspector = new CaptureInspector()
    for (const dst of ['203.0.113.8', '203.0.113.9', '203.0.113.10']) addFrame(inspector, tcpFrame('192.0.2.1', dst), 2)
    addFrame(inspector, tcpFrame('192.0.2.7', '203.0.113.10'))
    const expected: LikelyPrefix = {
      prefix: '203.0.113.8/30',
      packets: 7,
      destinations: 3,
      addresses: 4,
      first_contacts: 2,
      confidence: 'low',
      proposed: true,
    }
    expect(inspector.likelyPrefixes()).toEqual([expected])
  })

  test('scattered destinations of little traffic are shown, and not proposed', () => {
    const inspector = new CaptureInspector()
    for (let place = 0; place < 30; place++) addFrame(inspector, tcpFrame('192.0.2.1', `${place + 20}.1.1.1`))
    expect(inspector.likelyPrefixes().map(({ proposed }) => proposed)).toEqual(new Array(30).fill(false))
  })

  test('a capture of nobody has none', () => {
    expect(new CaptureInspector().likelyPrefixes()).toEqual([])
  })
})

describe('cover', () => {
  const cover = (arrivals: number, excluded: readonly string[], ...texts: readonly string[]) => {
    const addresses = texts.flatMap(text => {
      const { first, last } = parsePrefix(text)
      return Array.from({ length: Number(last - first) + 1 }, (_, at) => first + BigInt(at))
    })
    const rules = { addresses, excluded: excluded.map(parseAddress), arrivals: () => arrivals }
    return coverWithPrefixes(rules).map(({ first, bits }) =>
      formatPrefix({ first, last: first + (1n << BigInt(bits)) - 1n, length: 128 - bits }),
    )
  }

  test.each([
    { why: 'one address', texts: ['192.0.2.77'], expected: ['192.0.2.77/32'] },
    {
      why: 'a sparse /24: both halves seen',
      arrivals: 2,
      texts: ['192.0.2.3', '192.0.2.200'],
      expected: ['192.0.2.0/24'],
    },
    {
      why: 'two addresses of two networks',
      texts: ['192.0.2.3', '192.0.3.200'],
      expected: ['192.0.2.3/32', '192.0.3.200/32'],
    },
    { why: 'the upper half of an octet', texts: ['203.0.113.128/25'], expected: ['203.0.113.128/25'] },
    { why: 'neighbours are one', texts: ['198.18.0.0/23', '198.18.2.0/23'], expected: ['198.18.0.0/22'] },
    {
      why: 'neighbours that are no halves of one prefix are two',
      texts: ['198.18.1.0/24', '198.18.2.0/24'],
      expected: ['198.18.1.0/24', '198.18.2.0/24'],
    },
    {
      why: 'with few sources a hole is chance',
      arrivals: 10,
      texts: ['198.18.1.0/24', '198.18.2.0/24'],
      expected: ['198.18.0.0/22'],
    },
    {
      why: 'a prefix without its first and last address is the prefix',
      texts: ['192.0.2.1', '192.0.2.2/31', '192.0.2.4/30', '192.0.2.8/30', '192.0.2.12/31', '192.0.2.14'],
      expected: ['192.0.2.0/28'],
    },
    {
      why: 'what is excluded is left out',
      excluded: ['192.0.2.8'],
      texts: ['192.0.2.0/29', '192.0.2.9', '192.0.2.10/31', '192.0.2.12/30'],
      expected: ['192.0.2.0/29', '192.0.2.9/32', '192.0.2.10/31', '192.0.2.12/30'],
    },
    { why: 'IPv6', texts: ['2001:db8::/124'], expected: ['2001:db8::/124'] },
    {
      why: 'both families',
      texts: ['192.0.2.0/31', '2001:db8::1', '2001:db8:1::1'],
      expected: ['192.0.2.0/31', '2001:db8::1/128', '2001:db8:1::1/128'],
    },
    { why: 'nothing', texts: [], expected: [] },
  ])('$why', ({ texts, expected, arrivals = 1000, excluded = [] }) => {
    expect(cover(arrivals, excluded, ...texts)).toEqual(expected)
  })
})
