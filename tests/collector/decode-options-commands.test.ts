import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Collector } from '../../collector/collector.ts'
import { DECAPSULATE_GRE, VERIFY_CHECKSUMS } from '../../collector/decode-options.ts'
import { parseTelescope } from '../../schemas/address.ts'
import { enhancedPacket, interfaceDescription, pcap, sectionHeader } from '../support/capture-builder.ts'
import { concat, ethernet, hex, ipv4, tcp, udp, withChecksums } from '../support/frame-builder.ts'
import { hirundo } from '../support/hirundo.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// Goal: --decapsulate and --verify-checksums do the same in every command that reads captures, also for the frames
// that collect otherwise counts by its shortcut; and link types that are not read are named.

const newFolder = temporaryFolders()

function file(bytes: Uint8Array, name = 'capture.pcap'): string {
  const path = join(newFolder(), name)
  writeFileSync(path, bytes)
  return path
}

const dark = (last: number) => `203.0.113.${last}`
const syn = (last: number) => withChecksums(ipv4({ dst: dark(last) }, tcp()))
const damaged = (packet: Uint8Array) => packet.map((byte, at) => (at === packet.length - 1 ? byte ^ 1 : byte))
const tunnelled = (packet: Uint8Array) =>
  ethernet(
    0x0800,
    withChecksums(ipv4({ src: '192.0.2.1', dst: '192.0.2.2', protocol: 47 }, concat(hex('0000 0800'), packet))),
  )

/** Two through the tunnel, the second with a wrong TCP checksum; two beside it, likewise; and a probe of GRE. */
const CAPTURE = pcap([
  { frame: tunnelled(syn(1)) },
  { frame: tunnelled(damaged(syn(2))) },
  { frame: ethernet(0x0800, syn(3)) },
  { frame: ethernet(0x0800, damaged(syn(4))) },
  { frame: ethernet(0x0800, withChecksums(ipv4({ dst: dark(5), protocol: 47 }, hex('0000 0000')))) },
  { frame: ethernet(0x0800, withChecksums(ipv4({ dst: dark(6), protocol: 17 }, udp(53, 9)))) },
])

const CASES: readonly {
  readonly why: string
  readonly options: readonly string[]
  readonly drops: Readonly<Record<string, number>>
  readonly kept: number
}[] = [
  { why: 'neither', options: [], drops: { not_for_telescope: 2 }, kept: 4 },
  { why: 'tunnels', options: ['--decapsulate', 'gre'], drops: {}, kept: 6 },
  {
    why: 'checksums',
    options: ['--verify-checksums'],
    drops: { not_for_telescope: 2, transport_checksum_invalid: 1 },
    kept: 3,
  },
  {
    why: 'both',
    options: ['--decapsulate', 'gre', '--verify-checksums'],
    drops: { transport_checksum_invalid: 2 },
    kept: 4,
  },
]

describe.each(CASES)('$why', ({ options, drops, kept }) => {
  test('collect', async () => {
    const out = newFolder()
    const { status, stdout } = await hirundo([
      ...['collect', file(CAPTURE), '--sensor', 's', '--telescope', '203.0.113.0/24', '--out', out, '--json'],
      ...options,
    ])
    expect(status).toBe(0)
    expect(JSON.parse(stdout).captures).toMatchObject([{ packets_read: 6, packets_kept: kept, drops, error: null }])
  }, 60_000)

  test('packets', async () => {
    const { status, stdout } = await hirundo(['packets', file(CAPTURE), '--telescope', '203.0.113.0/24', ...options])
    const reasons = stdout
      .trimEnd()
      .split('\n')
      .slice(1)
      .map(line => line.slice(line.lastIndexOf(',') + 1))
    const counts: Record<string, number> = {}
    for (const reason of reasons) if (reason !== '') counts[reason] = (counts[reason] ?? 0) + 1
    expect([status, counts]).toEqual([0, drops])
  }, 60_000)

  test('inspect', async () => {
    const { status, stdout } = await hirundo(['inspect', file(CAPTURE), '--json', ...options])
    const [inspection] = JSON.parse(stdout).captures
    const expected = Object.entries(drops).filter(([name]) => name !== 'not_for_telescope')
    expect([status, inspection.drops]).toEqual([0, expected.map(([name, packets]) => ({ name, packets }))])
    const tunnels = options.includes('gre') ? 1 : 3
    expect(inspection.protocols).toContainEqual({ name: 'gre', packets: tunnels })
  }, 60_000)
})

test('the batches are those of the general way', async () => {
  const path = file(CAPTURE)
  const collected = async (decodeOptions: number, shortcut: boolean) => {
    const collector = new Collector({
      sensor: 's',
      telescope: parseTelescope('203.0.113.0/24'),
      telescopeEpoch: 1,
      key: new Uint8Array(32).fill(3),
      out: newFolder(),
      decodeOptions,
      shortcut,
    })
    await collector.read(path)
    await collector.finish()
    return collector.batches.map(({ sha256 }) => sha256)
  }
  const both = DECAPSULATE_GRE | VERIFY_CHECKSUMS
  expect(await collected(both, true)).toEqual(await collected(both, false))
  expect(await collected(both, true)).not.toEqual(await collected(0, true))
})

test.each(['packets', 'inspect', 'collect'])(
  '%s refuses a tunnel that it does not know',
  async name => {
    const needed = name === 'collect' ? ['--sensor', 's', '--telescope', '203.0.113.0/24', '--out', newFolder()] : []
    const { status, stderr } = await hirundo([name, file(CAPTURE), ...needed, '--decapsulate', 'gre,teredo'])
    expect([status, stderr]).toEqual([
      2,
      `hirundo: ${name}: --decapsulate "teredo" is no tunnel that is read; there are ipip, gre, erspan, vxlan, geneve [USAGE]\n`,
    ])
  },
  60_000,
)

describe('link types that are not read', () => {
  const mixed = concat(
    sectionHeader(),
    interfaceDescription(),
    interfaceDescription({ linkType: 147 }),
    interfaceDescription({ linkType: 300 }),
    enhancedPacket({ frame: ethernet(0x0800, syn(1)) }),
    enhancedPacket({ frame: syn(2), interfaceId: 1 }),
    enhancedPacket({ frame: syn(3), interfaceId: 2 }),
  )

  test('collect names them', async () => {
    const path = file(mixed, 'mixed.pcapng')
    const key = join(newFolder(), 'key')
    const { status, stdout, stderr } = await hirundo([
      ...['collect', path, '--sensor', 's', '--telescope', '203.0.113.0/24', '--out', newFolder(), '--key', key],
    ])
    expect(status).toBe(0)
    expect(stdout).toMatch(/\n {2}dropped {2}2 {2}66\.7 % {2}link_type_unsupported\n/)
    expect(stderr).toContain(`hirundo: ${path}: 2 packets dropped: link type 147 (private use), 300 is not supported\n`)
  }, 60_000)

  test('inspect marks them', async () => {
    const { stdout } = await hirundo(['inspect', file(mixed, 'mixed.pcapng')])
    expect(stdout.replace(/\s+/g, ' ')).toContain(
      ' link type 1 (ethernet), 147 (private use) not supported, 300 not supported packets 3, ',
    )
  }, 60_000)

  test('one within a header that names it', async () => {
    const path = file(pcap([{ frame: hex('0000 0800 bd000000') }], { linkType: 192 }))
    const { stderr } = await hirundo([
      ...['collect', path, '--sensor', 's', '--telescope', '203.0.113.0/24', '--out', newFolder()],
    ])
    expect(stderr).toContain(
      `hirundo: ${path}: 1 packets dropped: link type that a pktap or ppi header names is not supported\n`,
    )
  }, 60_000)
})
