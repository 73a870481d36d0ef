import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Collector } from '../../collector/collector.ts'
import { parseTelescope } from '../../schemas/address.ts'
import { type PcapRecord, pcap } from '../support/capture-builder.ts'
import { ethernet, icmp, ipv4, tcp, udp } from '../support/frame-builder.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// However packets are cut into captures, the batches are the same to the last byte.

const newFolder = temporaryFolders()
const START = 20_000 * 86_400

async function batchNames(captures: readonly (readonly PcapRecord[])[]): Promise<string[]> {
  const folder = newFolder()
  const out = mkdtempSync(join(folder, 'out-'))
  const key = new Uint8Array(32).fill(1)
  const telescope = parseTelescope('203.0.113.0/24')
  // Small limits, so that batches end within captures, too.
  const collector = new Collector({
    sensor: 's',
    telescope,
    telescopeEpoch: 1,
    key,
    out,
    packetsMax: 7,
    batchSeconds: 600,
  })
  for (const [index, records] of captures.entries()) {
    const path = join(folder, `${index}.pcap`)
    writeFileSync(path, pcap(records))
    await collector.read(path)
  }
  await collector.finish()
  return collector.batches.map(batch => batch.sha256)
}

const anyFrame = fc.oneof(
  fc
    .tuple(fc.constantFrom('8.8.8.1', '8.8.8.2', '8.8.8.3'), fc.constantFrom('203.0.113.1', '203.0.113.2', '192.0.2.1'))
    .map(([src, dst]) => ethernet(0x0800, ipv4({ src, dst }, tcp()))),
  fc.constantFrom(53, 9999).map(port => ethernet(0x0800, ipv4({ protocol: 17 }, udp(port, 40_000)))),
  fc.constantFrom(0, 8).map(type => ethernet(0x0800, ipv4({ protocol: 1 }, icmp(type, 0)))),
  fc.constant(ethernet(0x0806, new Uint8Array(28))),
)
const anyRecords = fc.array(
  fc.record({
    frame: anyFrame,
    seconds: fc.integer({ min: START, max: START + 2000 }),
    fraction: fc.integer({ min: 0, max: 999_999 }),
  }),
  { minLength: 2, maxLength: 80 },
)

describe('splitting a capture', () => {
  it('anywhere gives the same batches', async () => {
    await fc.assert(
      fc.asyncProperty(anyRecords, fc.array(fc.nat(80), { minLength: 1, maxLength: 4 }), async (records, cuts) => {
        const at = [0, ...cuts.map(cut => cut % records.length).sort((a, b) => a - b), records.length]
        const parts = at.slice(1).map((end, index) => records.slice(at[index], end))
        expect(await batchNames(parts)).toEqual(await batchNames([records]))
      }),
      { numRuns: 40 },
    )
  })
})
