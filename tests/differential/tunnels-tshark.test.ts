import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  DECAPSULATE_ERSPAN,
  DECAPSULATE_GENEVE,
  DECAPSULATE_GRE,
  DECAPSULATE_IPIP,
  DECAPSULATE_VXLAN,
} from '../../collector/decode-options.ts'
import { Packet } from '../../collector/packet.ts'
import { readCapture } from '../../collector/read-capture.ts'
import { pcap } from '../support/capture-builder.ts'
import { hasCommand, hasSharedCaptures, requireExternal, SHARED_CAPTURES } from '../support/external.ts'
import { concat, ethernet, hex, icmp, ipv4, ipv6, tcp, udp } from '../support/frame-builder.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'
import { COMPARED, mapRow, type OurRow, ourRow, runTshark } from '../support/tshark.ts'
import { mapInnermostRow } from '../support/tshark-inner.ts'

// Goal: with --decapsulate each column is that of the innermost packet, as tshark dissects it, on real tunnels and on
// made ones of kinds that no capture at hand has; and without it a tunnel packet is what its own header says.

const newFolder = temporaryFolders()
const hasTshark = requireExternal('tshark', hasCommand('tshark'))
const isPresent = requireExternal('../shared/captures', hasSharedCaptures()) && hasTshark

const ALL = DECAPSULATE_IPIP | DECAPSULATE_GRE | DECAPSULATE_ERSPAN | DECAPSULATE_VXLAN | DECAPSULATE_GENEVE

const SYN = ipv4({}, tcp())
const SYN6 = ipv6({ next: 17 }, udp(5, 123))
const FRAME = ethernet(0x0800, SYN)
const outer = (protocol: number, payload: Uint8Array) => ipv4({ src: '192.0.2.1', dst: '192.0.2.2', protocol }, payload)
const outer6 = (next: number, payload: Uint8Array) =>
  ipv6({ src: '2001:db8:a::1', dst: '2001:db8:a::2', next }, payload)
const geneve = (head: string, payload: Uint8Array) => outer(17, udp(9, 6081, concat(hex(head), payload)))

const MADE: readonly Uint8Array[] = [
  outer(4, SYN),
  outer6(4, SYN),
  outer6(41, SYN6),
  outer6(60, concat(hex('0400 0401 04 01 0100'), SYN)),
  outer(47, concat(hex('b000 86dd 12340000 00000001 00000002'), SYN6)),
  outer6(47, concat(hex('2000 0800 00000001'), SYN)),
  outer(47, concat(hex('0000 6558'), FRAME)),
  outer(47, concat(hex('0000 8847 00010140'), SYN)),
  outer(47, concat(hex('3081 880b 002c0001 00000005 00000004 ff03 0021'), SYN)),
  outer(47, concat(hex('0000 88be'), FRAME)),
  outer(47, concat(hex('1000 22eb 00000001 2001 0001 00000000 0000 8000'), FRAME)),
  outer(47, concat(hex('1000 22eb 00000001 2001 0001 00000000 0000 8001 1122334455667788'), FRAME)),
  geneve('0000 6558 00000100', FRAME),
  geneve('0200 86dd 00000100 0102 8001 aabbccdd', SYN6),
  outer(17, udp(9, 4789, concat(hex('08000000 00000100'), ethernet(0x0800, outer(4, outer(41, SYN6)))))),
  outer(4, ipv4({ protocol: 1 }, icmp(3, 3, ipv4({ dst: '192.0.2.9' }, tcp())))),
]

async function readOurs(path: string, decodeOptions: number): Promise<OurRow[]> {
  const packet = new Packet()
  packet.decodeOptions = decodeOptions
  const rows: OurRow[] = []
  await readCapture(path, packet, seen => void rows.push(ourRow(seen)))
  return rows
}

const columns = (row: Partial<OurRow>): Partial<OurRow> =>
  Object.fromEntries(COMPARED.map(column => [column, row[column]]))

describe.skipIf(!isPresent)('tunnels against tshark', () => {
  test.each([
    { file: 'ndpi__6in4tunnel.pcap', options: DECAPSULATE_IPIP, inside: 127 },
    { file: 'ndpi__gre.pcapng', options: DECAPSULATE_GRE, inside: 1 },
    { file: 'zeek__gre-sample.pcap', options: DECAPSULATE_GRE, inside: 40 },
    { file: 'zeek__erspanII.pcap', options: DECAPSULATE_ERSPAN, inside: 4 },
    { file: 'ndpi__vxlan.pcap', options: DECAPSULATE_VXLAN, inside: 127 },
    { file: 'zeek__vxlan.pcap', options: DECAPSULATE_VXLAN, inside: 10 },
  ])(
    '$file',
    async ({ file, options, inside }) => {
      const path = SHARED_CAPTURES + file
      const theirs = await runTshark(path, 'a')
      const inner = await readOurs(path, options)
      expect(inner.map(columns)).toEqual(theirs.map((row, at) => columns(mapInnermostRow(row, at + 1))))
      const outer = await readOurs(path, 0)
      const first = await runTshark(path)
      expect(outer.map(columns)).toEqual(first.map((row, at) => columns(mapRow(row, at + 1))))
      const changed = inner.filter((row, at) => row.src !== outer[at]!.src || row.protocol !== outer[at]!.protocol)
      expect(changed.length).toBe(inside)
      // Without the name of this tunnel, all others do nothing.
      expect(await readOurs(path, ALL & ~options)).toEqual(outer)
    },
    120_000,
  )
})

test.skipIf(!hasTshark)(
  'tunnels made here against tshark',
  async () => {
    const path = join(newFolder(), 'tunnels.pcap')
    writeFileSync(
      path,
      pcap(MADE.map(packet => ({ frame: ethernet(packet[0]! >> 4 === 4 ? 0x0800 : 0x86dd, packet) }))),
    )
    const theirs = (await runTshark(path, 'a')).map((row, at) => columns(mapInnermostRow(row, at + 1)))
    const ours = (await readOurs(path, ALL)).map(columns)
    expect(ours).toEqual(theirs)
    expect(ours.filter(({ src }) => src === '198.51.100.7' || src === '2001:db8::7').length).toBe(MADE.length)
  },
  120_000,
)
