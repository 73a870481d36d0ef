import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BatchWriter } from '../../collector/batch-writer.ts'
import { FlowTable } from '../../collector/flow-table.ts'
import type { Packet } from '../../collector/packet.ts'
import { SCHEMA_VERSION } from '../../schemas/flow.ts'
import { packetRow } from '../support/flow-oracle.ts'
import { ethernet, icmp, ipv4, ipv6, tcp, udp } from '../support/frame-builder.ts'
import { addUpFlows, type FlowRow, readBatch } from '../support/read-batch.ts'
import { decodeFrame } from '../support/read-packets.ts'

// The table against a plain loop that keeps one row a packet and adds up rows with equal keys.

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hirundo-flow-table-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const START = 1_763_800_020

function rowsOf(table: FlowTable): FlowRow[] {
  const writer = new BatchWriter(folder, {
    schema_version: SCHEMA_VERSION,
    sensor: 'test',
    telescope_epoch: 1,
    spans: [],
    flows: table.rowCount,
    packets_read: 0,
    packets_kept: 0,
    drops: {},
    first_packet: null,
    last_packet: null,
  })
  for (const { columns, rowCount } of table.recordBatches()) writer.writeRows(columns, rowCount)
  return readBatch(writer.finish().path).rows
}

function packet(bytes: Uint8Array, seconds: number): Packet {
  const decoded = decodeFrame(ethernet(bytes[0]! >> 4 === 6 ? 0x86dd : 0x0800, bytes))
  decoded.seconds = seconds
  return decoded
}

interface Sent {
  readonly packet: Packet
  readonly dstIndex: bigint
}

/** Few values a field, so that keys meet again. */
const anySource = fc.constantFrom('198.51.100.7', '8.8.8.8', '10.0.0.255')
const anySource6 = fc.constantFrom('2001:db8::7', '2600::1', '::ffff:198.51.100.7')
const anyTcp = fc
  .record({
    srcPort: fc.constantFrom(0, 80, 40_000, 50_000),
    dstPort: fc.constantFrom(22, 23),
    seq: fc.constantFrom(1, 0xcb007109),
    flags: fc.constantFrom(2, 18, 4, 16, 0),
    window: fc.constantFrom(1024, 65_535),
  })
  .map(tcp)
const quoted = ipv4({ src: '203.0.113.9', dst: '192.0.2.1', protocol: 17 }, udp(5, 6))
const anyIpv4 = fc.oneof(
  fc
    .tuple(anySource, fc.constantFrom(50, 255), fc.constantFrom(0, 0x4000, 0x2000), fc.constantFrom(54_321, 7), anyTcp)
    .map(([src, ttl, fragment, id, payload]) => ipv4({ src, ttl, fragment, id }, payload)),
  fc
    .tuple(anySource, fc.constantFrom(53, 9999), fc.constantFrom(53, 40_000))
    .map(([src, from, to]) => ipv4({ src, protocol: 17 }, udp(from, to))),
  fc
    .tuple(anySource, fc.constantFrom(0, 3, 8), fc.boolean())
    .map(([src, type, isError]) => ipv4({ src, protocol: 1 }, icmp(type, 1, isError ? quoted : new Uint8Array(0)))),
)
const anyIpv6 = fc.oneof(
  fc.tuple(anySource6, anyTcp).map(([src, payload]) => ipv6({ src }, payload)),
  fc.tuple(anySource6, fc.constantFrom(1, 128, 129)).map(([src, type]) => ipv6({ src, next: 58 }, icmp(type, 0))),
)
const anySent: fc.Arbitrary<Sent> = fc.oneof(
  fc
    .tuple(anyIpv4, fc.integer({ min: 0, max: 400 }), fc.constantFrom(0n, 1n, 0xffff_ffffn))
    .map(([bytes, offset, dstIndex]) => ({ packet: packet(bytes, START + offset), dstIndex })),
  fc
    .tuple(anyIpv6, fc.integer({ min: 0, max: 400 }), fc.constantFrom(1n, 0xffff_ffff_0000_0001n))
    .map(([bytes, offset, dstIndex]) => ({ packet: packet(bytes, START + offset), dstIndex })),
)

function fill(table: FlowTable, sent: readonly Sent[]): void {
  for (const { packet, dstIndex } of sent) table.add(packet, Number(dstIndex >> 32n), Number(dstIndex & 0xffff_ffffn))
}

function expected(sent: readonly Sent[]): Map<string, Record<string, bigint>> {
  return addUpFlows(sent.map(({ packet, dstIndex }) => packetRow(packet, dstIndex)))
}

describe('FlowTable', () => {
  it('adds up to the same flows as a plain loop, whatever the packets and their order', () => {
    fc.assert(
      fc.property(fc.array(anySent, { minLength: 1, maxLength: 300 }), sent => {
        const table = new FlowTable()
        fill(table, sent)
        expect(addUpFlows(rowsOf(table))).toEqual(expected(sent))
      }),
      { numRuns: 60 },
    )
  })

  it('makes one row a key when time runs forward, in order of first appearance', () => {
    const order = [3, 1, 2, 3, 1]
    const sent = order.map((last, at) => ({
      packet: packet(ipv4({ src: `8.8.8.${last}` }, tcp()), START + at),
      dstIndex: 5n,
    }))
    const table = new FlowTable()
    fill(table, sent)
    const rows = rowsOf(table)
    expect(rows.map(row => Number(row['src_addr_low']! & 0xffn))).toEqual([3, 1, 2])
    expect(rows.map(row => Number(row['packet_count']))).toEqual([2, 2, 1])
    expect(rows.map(row => [Number(row['first_second']), Number(row['duration_seconds'])])).toEqual([
      [START % 60, 3],
      [(START + 1) % 60, 3],
      [(START + 2) % 60, 0],
    ])
  })

  it('keeps the source port of the first packet of a scan, and no other', () => {
    const table = new FlowTable()
    const scan = (srcPort: number) => packet(ipv4({}, tcp({ srcPort })), START)
    table.add(scan(1111), 0, 1)
    table.add(scan(2222), 0, 1)
    table.add(packet(ipv4({}, tcp({ srcPort: 80, flags: 18 })), START), 0, 1)
    expect(rowsOf(table).map(row => Number(row['src_port_sample']))).toEqual([1111, 0])
  })

  it('opens another row of the key after 255 packets', () => {
    const table = new FlowTable()
    for (let count = 0; count < 600; count++) table.add(packet(ipv4({ ttl: 255 }, tcp()), START + (count % 40)), 0, 1)
    const rows = rowsOf(table)
    expect(rows.map(row => Number(row['packet_count']))).toEqual([255, 255, 90])
    expect(rows.map(row => Number(row['spoof_ttl_high_count']))).toEqual([255, 255, 90])
    expect(rows.reduce((sum, row) => sum + row['byte_count']!, 0n)).toBe(600n * 40n)
  })

  it('opens another row before the bytes of one would pass 32 bits', () => {
    const jumbo = packet(ipv6({}, tcp()), START)
    jumbo.ipLength = 2 ** 31
    const table = new FlowTable()
    for (let count = 0; count < 3; count++) table.add(jumbo, 0, 1)
    expect(rowsOf(table).map(row => row['byte_count'])).toEqual([2n ** 31n, 2n ** 31n, 2n ** 31n])
  })

  it('finds keys again across growth and many rows, and is empty after clear', () => {
    const table = new FlowTable()
    const one = packet(ipv4({}, tcp()), START)
    for (let round = 0; round < 2; round++) {
      for (let repeat = 0; repeat < 2; repeat++) {
        for (let number = 0; number < 150_000; number++) {
          one.src3 = number
          table.add(one, 0, number % 7)
        }
      }
      expect(table.rowCount).toBe(150_000)
      const rows = rowsOf(table)
      expect(rows.length).toBe(150_000)
      expect(
        rows.every(
          (row, number) => row['packet_count'] === 2n && row['src_addr_low'] === 0xffff_0000_0000n + BigInt(number),
        ),
      ).toBe(true)
      table.clear()
      expect(table.rowCount).toBe(0)
    }
  })

  it('leaves nothing of earlier rows behind', () => {
    const table = new FlowTable()
    const error = packet(ipv4({ protocol: 1, ttl: 255, fragment: 0x2000 }, icmp(3, 1, quoted)), START + 30)
    const plain = { packet: packet(ipv4({ src: '8.8.8.8' }, tcp()), START), dstIndex: 9n }
    table.add(error, 0, 1)
    table.clear()
    fill(table, [plain])
    expect(addUpFlows(rowsOf(table))).toEqual(expected([plain]))
  })

  it('is full at its limit', () => {
    const table = new FlowTable({ flowsMax: 2 })
    table.add(packet(ipv4({ src: '8.8.8.1' }, tcp()), START), 0, 1)
    expect(table.isFull).toBe(false)
    table.add(packet(ipv4({ src: '8.8.8.2' }, tcp()), START), 0, 1)
    expect(table.isFull).toBe(true)
  })
})
