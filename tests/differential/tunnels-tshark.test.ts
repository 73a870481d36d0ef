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
import { hasCommand, hasSharedCaptures, requireExternal, SHARED_CAPTURES } from '../support/external.ts'
import { COMPARED, mapRow, type OurRow, ourRow, runTshark } from '../support/tshark.ts'
import { mapInnermostRow } from '../support/tshark-inner.ts'

// Goal: with --decapsulate each column is that of the innermost packet, as tshark dissects it, on real tunnels; and
// without it a tunnel packet is what its own header says.

const isPresent =
  requireExternal('tshark', hasCommand('tshark')) && requireExternal('../shared/captures', hasSharedCaptures())

async function readOurs(file: string, decodeOptions: number): Promise<OurRow[]> {
  const packet = new Packet()
  packet.decodeOptions = decodeOptions
  const rows: OurRow[] = []
  await readCapture(SHARED_CAPTURES + file, packet, seen => void rows.push(ourRow(seen)))
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
      const theirs = await runTshark(SHARED_CAPTURES + file, 'a')
      const inner = await readOurs(file, options)
      expect(inner.map(columns)).toEqual(theirs.map((row, at) => columns(mapInnermostRow(row, at + 1))))
      const outer = await readOurs(file, 0)
      const first = await runTshark(SHARED_CAPTURES + file)
      expect(outer.map(columns)).toEqual(first.map((row, at) => columns(mapRow(row, at + 1))))
      const changed = inner.filter((row, at) => row.src !== outer[at]!.src || row.protocol !== outer[at]!.protocol)
      expect(changed.length).toBe(inside)
      // Without the name of this tunnel, all others do nothing.
      const all = DECAPSULATE_IPIP | DECAPSULATE_GRE | DECAPSULATE_ERSPAN | DECAPSULATE_VXLAN | DECAPSULATE_GENEVE
      expect(await readOurs(file, all & ~options)).toEqual(outer)
    },
    120_000,
  )
})
