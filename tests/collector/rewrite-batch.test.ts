import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { arrow } from '../../collector/arrow.ts'
import { parseBatchMetadata } from '../../collector/batch-metadata.ts'
import { BatchWriter } from '../../collector/batch-writer.ts'
import { Collector } from '../../collector/collector.ts'
import { ReceivedRows } from '../../collector/received-rows.ts'
import { rewriteBatch } from '../../collector/rewrite-batch.ts'
import { parseTelescope } from '../../schemas/address.ts'
import type { BatchMetadata } from '../../schemas/batch.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { markTelescope } from '../../schemas/telescope-mark.ts'
import { ROOT } from '../support/external.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// Batches that came from outside: each way to be wrong is refused, and nothing stays behind.

const newFolder = temporaryFolders()
const INTERVAL = 1_763_800_020_000_000n

function goodBlock(): ReceivedRows {
  const block = new ReceivedRows()
  const high = Number(INTERVAL >> 32n)
  const low = Number(INTERVAL & 0xffff_ffffn)
  block.intervalStart.set([low, high])
  block.ipVersion[0] = 4
  block.srcLow.set([0x08080808, 0xffff])
  block.protocol[0] = 6
  block.packetCount[0] = 2
  block.byteCount[0] = 80
  return block
}

function put(values: { [index: number]: number }, at: number, value: number): void {
  values[at] = value
}

const METADATA: BatchMetadata = {
  schema_version: 1,
  sensor: 'test',
  telescope_epoch: 1,
  spans: [{ from: 1_763_800_021_000_000, to: 1_763_800_022_000_000, basis: 'inferred', packets: 2 }],
  flows: 1,
  packets_read: 5,
  packets_kept: 2,
  drops: { not_ip: 3 },
  first_packet: 1_763_800_021_000_000,
  last_packet: 1_763_800_021_999_999,
}

const MARK = markTelescope(parseTelescope('192.0.2.0/24'))

function writeBatch(block: ReceivedRows, metadata: object, rows = 1): string {
  const writer = new BatchWriter(newFolder(), metadata as BatchMetadata)
  writer.writeRows(block.columns, rows)
  return writer.finish().path
}

function rewrite(input: string, telescope = MARK): { code: string; message: string; left: string[] } | null {
  const out = newFolder()
  try {
    rewriteBatch({
      input,
      open: metadata => new BatchWriter(out, metadata),
      sensor: 'test',
      telescope_epoch: 1,
      telescope,
    })
    return null
  } catch (error) {
    if (!(error instanceof TelescopeError)) throw error
    const left = readdirSync(out, { recursive: true, encoding: 'utf8' }).filter(name => name !== 'tmp')
    return { code: error.code, message: error.message, left }
  }
}

it('a good batch passes', () => expect(rewrite(writeBatch(goodBlock(), METADATA))).toBeNull())

describe('a batch that was collected for other addresses than are registered', () => {
  const refusal = (prefixes: string) => {
    const telescope = markTelescope(parseTelescope(prefixes))
    return rewrite(writeBatch(goodBlock(), { ...METADATA, telescope }))
  }
  it.each([['192.0.2.0/24'], ['192.0.2.0/25,192.0.2.128/25']])('is none when it was collected for %s', prefixes =>
    expect(refusal(prefixes)).toBeNull(),
  )
  it.each([
    ['192.0.2.0/25', '128 IPv4 addresses, not the 256'],
    ['192.0.2.0/24,192.0.3.0/24', '512 IPv4 addresses, not the 256'],
    ['192.0.3.0/24', 'other addresses than those'],
    ['192.0.2.0/24,2001:db8::/64', 'other addresses than those'],
  ])('is refused with %s, and nothing stays', (prefixes, words) =>
    expect(refusal(prefixes)).toMatchObject({
      code: 'BATCH_TELESCOPE_MISMATCH',
      message: expect.stringContaining(words),
      left: [],
    }),
  )
})

describe('a row that no collector writes is refused', () => {
  const cases: Record<string, (block: ReceivedRows) => void> = {
    'interval_start off its boundary': block => put(block.intervalStart, 0, Number(INTERVAL & 0xffff_ffffn) + 1),
    'interval_start beyond exact numbers': block => put(block.intervalStart, 1, 0x7fff_ffff),
    'first_second 60': block => put(block.firstSecond, 0, 60),
    'a duration past the interval': block => {
      put(block.firstSecond, 0, 30)
      put(block.durationSeconds, 0, 30)
    },
    'ip_version 5': block => put(block.ipVersion, 0, 5),
    'an IPv4 source that is not mapped': block => put(block.srcLow, 1, 0),
    'an IPv4 source with upper bits': block => put(block.srcHigh, 0, 1),
    'a dst_index of IPv4 with upper bits': block => put(block.dstIndex, 1, 1),
    'class 3': block => put(block.trafficClass, 0, 3),
    'tcp_flags of 13 bits': block => put(block.tcpFlags, 0, 0x1000),
    'tcp_flags of UDP': block => {
      put(block.protocol, 0, 17)
      put(block.tcpFlags, 0, 2)
    },
    'slot 6': block => {
      put(block.trafficClass, 0, 1)
      put(block.slot, 0, 6)
    },
    'a slot of a scan': block => put(block.slot, 0, 1),
    'a peer port of a scan': block => put(block.peerPort, 0, 1),
    'a SYN profile of UDP': block => {
      put(block.protocol, 0, 17)
      put(block.synProfile, 0, 1)
    },
    'a sampled port of backscatter': block => {
      put(block.trafficClass, 0, 1)
      put(block.srcPortSample, 0, 1)
    },
    'a victim of a scan': block => put(block.victimLow, 0, 1),
    'a victim of TCP': block => {
      put(block.trafficClass, 0, 1)
      put(block.victimHigh, 0, 1)
    },
    'no packet': block => put(block.packetCount, 0, 0),
    'a tool count above the packets': block => put(block.signCounts[0]!, 0, 3),
    'a fragment count above the packets': block => put(block.signCounts.at(-1)!, 0, 3),
    'other packets than the metadata says': block => put(block.packetCount, 0, 3),
  }
  it.each(Object.entries(cases))('%s', (_name, damage) => {
    const block = goodBlock()
    damage(block)
    expect(rewrite(writeBatch(block, METADATA))).toMatchObject({ code: 'BATCH_INVALID', left: [] })
  })
})

describe('metadata that does not hold is refused', () => {
  const span = METADATA.spans[0]!
  it.each([
    ['more flows than rows', { flows: 2 }, 'BATCH_INVALID'],
    ['read ≠ kept + dropped', { packets_read: 6 }, 'BATCH_INVALID'],
    ['an unknown drop reason', { drops: { not_ip: 2, boredom: 1 } }, 'BATCH_INVALID'],
    ['a negative count', { drops: { not_ip: -3 }, packets_read: -1 }, 'BATCH_INVALID'],
    ['a fraction', { flows: 1.5 }, 'BATCH_INVALID'],
    ['text for a number', { packets_kept: '2' }, 'BATCH_INVALID'],
    ['no spans', { spans: undefined }, 'BATCH_INVALID'],
    ['an empty span', { spans: [{ ...span, to: span.from }] }, 'BATCH_INVALID'],
    [
      'spans out of order',
      {
        spans: [
          { ...span, packets: 1 },
          { ...span, packets: 1 },
        ],
      },
      'BATCH_INVALID',
    ],
    ['a span with more packets than kept', { spans: [{ ...span, packets: 3 }] }, 'BATCH_INVALID'],
    ['a basis that is none', { spans: [{ ...span, basis: 'guessed' }] }, 'BATCH_INVALID'],
    ['no first packet', { first_packet: null }, 'BATCH_INVALID'],
    ['a first packet outside the flows', { first_packet: span.from - 60_000_000 }, 'BATCH_INVALID'],
    ['a last packet outside the flows', { last_packet: span.to + 60_000_000 }, 'BATCH_INVALID'],
    ['a sensor that is no name', { sensor: '../../etc' }, 'BATCH_INVALID'],
    ['another sensor', { sensor: 'other' }, 'BATCH_SENSOR_MISMATCH'],
    ['another epoch', { telescope_epoch: 2 }, 'BATCH_INVALID'],
    ['another schema version', { schema_version: 2 }, 'BATCH_VERSION_UNSUPPORTED'],
    ['no schema version', { schema_version: undefined }, 'BATCH_VERSION_UNSUPPORTED'],
  ])('%s', (_why, change, code) => {
    expect(rewrite(writeBatch(goodBlock(), { ...METADATA, ...change }))).toMatchObject({ code, left: [] })
  })

  it.each([
    ['no JSON', '{'],
    ['no object', '[]'],
    ['nothing', undefined],
  ])('%s', (_why, text) => {
    expect(() => parseBatchMetadata(text)).toThrow(expect.objectContaining({ code: 'BATCH_INVALID' }))
  })

  it('what it quotes cannot write to a terminal or a log', () => {
    const text = JSON.stringify({ ...METADATA, schema_version: '\u001b[31m\n' })
    expect(() => parseBatchMetadata(text)).toThrow(
      expect.objectContaining({ message: expect.not.stringMatching(/[^\x20-\x7e]/) }),
    )
  })
})

describe('a stream that is not of our columns is refused', () => {
  function streamOf(table: ReturnType<typeof arrow.tableFromArrays>): string {
    const path = join(newFolder(), 'other.arrow')
    writeFileSync(path, arrow.tableToIPC(table, 'stream'))
    return path
  }
  it('of other columns', () => {
    expect(rewrite(streamOf(arrow.tableFromArrays({ a: new Uint8Array(3) })))).toMatchObject({ code: 'BATCH_INVALID' })
  })
  it('of columns in another order', () => {
    const block = goodBlock()
    const arrays = Object.fromEntries(block.columns.toReversed().map(({ name, values }) => [name, values.slice(0, 1)]))
    expect(rewrite(streamOf(arrow.tableFromArrays(arrays)))).toMatchObject({ code: 'BATCH_INVALID' })
  })
})

describe('damage', () => {
  it('of any bytes is an answer with a code, or a batch that holds all rules', async () => {
    const key = new Uint8Array(32)
    const telescope = parseTelescope('198.19.1.0/24')
    const collector = new Collector({ sensor: 'test', telescope, telescopeEpoch: 1, key, out: newFolder() })
    await collector.read(`${ROOT}fixtures/captures/masscan-syn-23.pcap`)
    await collector.finish()
    const good = readFileSync(collector.batches[0]!.path)
    const input = join(newFolder(), 'damaged.arrow')
    const allowed = new Set([
      'BATCH_INVALID',
      'BATCH_VERSION_UNSUPPORTED',
      'BATCH_SENSOR_MISMATCH',
      'BATCH_TELESCOPE_MISMATCH',
    ])
    expect(rewrite(collector.batches[0]!.path, markTelescope(telescope))).toBeNull()
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        fc.nat(good.length),
        fc.boolean(),
        (changes, length, isCut) => {
          const bytes = Buffer.from(good)
          for (const [at, value] of changes) bytes[at] = value
          writeFileSync(input, isCut ? bytes.subarray(0, length) : bytes)
          const refused = rewrite(input, markTelescope(telescope))
          if (refused) expect([allowed.has(refused.code), refused.left]).toEqual([true, []])
        },
      ),
      { numRuns: 300 },
    )
  })
})
