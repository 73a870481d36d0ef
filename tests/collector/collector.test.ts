import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { Collector, type CollectorOptions } from '../../collector/collector.ts'
import { DstIndex } from '../../collector/dst-index.ts'
import { keyCheck } from '../../collector/key-file.ts'
import { Packet } from '../../collector/packet.ts'
import { readCapture } from '../../collector/read-capture.ts'
import { parseTelescope } from '../../schemas/address.ts'
import { physicalColumns } from '../../schemas/column.ts'
import { FLOW } from '../../schemas/flow.ts'
import { markTelescope } from '../../schemas/telescope-mark.ts'
import { pcap } from '../support/capture-builder.ts'
import { ROOT } from '../support/external.ts'
import { packetRow } from '../support/flow-oracle.ts'
import { ethernet, hex, ipv4, tcp } from '../support/frame-builder.ts'
import { addUpFlows, type FlowRow, readBatch } from '../support/read-batch.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// Captures in, batches out: what is written, when a batch ends, and what a summary says.

const newFolder = temporaryFolders()
const KEY = new Uint8Array(32).fill(7)
const TELESCOPE = parseTelescope('203.0.113.0/24')
const DAY = 86_400
const START = 20_000 * DAY

function openCollector(options: Partial<CollectorOptions> = {}): Collector {
  return new Collector({
    sensor: 'test',
    telescope: TELESCOPE,
    telescopeEpoch: 3,
    key: KEY,
    out: newFolder(),
    ...options,
  })
}

function capture(records: readonly { at: number; src?: string; dst?: string }[]): string {
  const path = join(newFolder(), 'capture.pcap')
  writeFileSync(
    path,
    pcap(
      records.map(({ at, src, dst }) => ({
        frame: ethernet(0x0800, ipv4({ ...(src ? { src } : {}), ...(dst ? { dst } : {}) }, tcp())),
        seconds: Math.floor(at),
        fraction: Math.round((at % 1) * 1e6),
      })),
    ),
  )
  return path
}

async function collectAll(collector: Collector, ...paths: string[]): Promise<string[]> {
  for (const path of paths) await collector.read(path)
  await collector.finish()
  return collector.batches.map(batch => batch.sha256)
}

const FIXTURES = readdirSync(`${ROOT}fixtures/captures`)
  .filter(name => /\.pcap(ng)?(\.gz)?$/.test(name))
  .map(name => `${ROOT}fixtures/captures/${name}`)
const FIXTURE_TELESCOPE = parseTelescope('198.19.1.0/24,2001:db8:2::/120')

describe('batch', () => {
  it('has exactly the columns of FLOW, none with nulls, and its own hash for a name', async () => {
    const collector = openCollector()
    await collectAll(collector, capture([{ at: START }]))
    const [{ path, sha256 }] = collector.batches as [(typeof collector.batches)[number]]
    expect(createHash('sha256').update(readFileSync(path)).digest('hex')).toBe(sha256)
    expect(path.endsWith(`/${sha256}.arrow`)).toBe(true)
    const types: Record<string, string> = {
      uint8: 'Uint8',
      uint16: 'Uint16',
      uint32: 'Uint32',
      uint64: 'Uint64',
      bits64: 'Uint64',
      timestamp_us: 'Timestamp<MICROSECOND, UTC>',
    }
    expect(readBatch(path).columns).toEqual(physicalColumns(FLOW).map(({ name, type }) => `${name} ${types[type]}`))
  })

  it('says what was read, kept and dropped, and when', async () => {
    const collector = openCollector()
    const arp = { frame: ethernet(0x0806, hex('00')), seconds: START }
    const path = join(newFolder(), 'mixed.pcap')
    const frame = (dst: string) => ethernet(0x0800, ipv4({ dst }, tcp()))
    writeFileSync(
      path,
      pcap([
        arp,
        { frame: frame('203.0.113.1'), seconds: START + 1, fraction: 5 },
        { frame: frame('192.0.2.1'), seconds: START + 2 },
        { frame: frame('203.0.113.1'), seconds: START + 3 },
      ]),
    )
    const { summary } = await collector.read(path)
    await collector.finish()
    expect(summary).toEqual({
      path,
      format: 'pcap',
      packets_read: 4,
      packets_kept: 2,
      drops: { not_ip: 1, not_for_telescope: 1 },
      first_packet: '2024-10-04T00:00:00.000000Z',
      last_packet: '2024-10-04T00:00:03.000000Z',
      truncated: false,
      error: null,
    })
    expect(collector.batches[0]!.metadata).toEqual({
      schema_version: 1,
      sensor: 'test',
      telescope_epoch: 3,
      telescope: markTelescope(TELESCOPE),
      key_check: keyCheck(KEY),
      spans: [{ from: (START + 1) * 1e6 + 5, to: (START + 3) * 1e6 + 1, basis: 'inferred', packets: 2 }],
      flows: 1,
      packets_read: 4,
      packets_kept: 2,
      drops: { not_ip: 1, not_for_telescope: 1 },
      first_packet: (START + 1) * 1e6 + 5,
      last_packet: (START + 3) * 1e6,
    })
    expect(readBatch(collector.batches[0]!.path).metadata).toEqual(collector.batches[0]!.metadata)
  })

  it('holds the flows of a plain loop over all fixtures', async () => {
    const collector = openCollector({ telescope: FIXTURE_TELESCOPE })
    await collectAll(collector, ...FIXTURES)
    const index = new DstIndex(FIXTURE_TELESCOPE, KEY)
    const rows: FlowRow[] = []
    for (const path of FIXTURES) {
      await readCapture(path, new Packet(), packet => {
        expect(packet.drop).toBe(-1)
        expect(index.find(packet)).toBe(true)
        rows.push(packetRow(packet, (BigInt(index.high) << 32n) | BigInt(index.low)))
      })
    }
    expect(rows.length).toBeGreaterThan(1000)
    expect(addUpFlows(collector.batches.flatMap(batch => readBatch(batch.path).rows))).toEqual(addUpFlows(rows))
  })

  it('is the same for the same packets, and another under another key', async () => {
    const names = await collectAll(openCollector({ telescope: FIXTURE_TELESCOPE }), ...FIXTURES)
    expect(await collectAll(openCollector({ telescope: FIXTURE_TELESCOPE }), ...FIXTURES)).toEqual(names)
    const otherKey = new Uint8Array(32).fill(8)
    expect(await collectAll(openCollector({ telescope: FIXTURE_TELESCOPE, key: otherKey }), ...FIXTURES)).not.toEqual(
      names,
    )
  })

  it('is the same for the capture in gzip', async () => {
    const path = capture([{ at: START }, { at: START + 61.5 }])
    const zipped = join(newFolder(), 'capture.pcap.gz')
    writeFileSync(zipped, gzipSync(readFileSync(path)))
    expect(await collectAll(openCollector(), zipped)).toEqual(await collectAll(openCollector(), path))
  })

  it('leaves no destination address behind, in any byte order', async () => {
    const collector = openCollector()
    await collectAll(collector, capture([{ at: START, dst: '203.0.113.77' }]))
    const bytes = readFileSync(collector.batches[0]!.path)
    for (const needle of ['cb00714d', '4d7100cb']) expect(bytes.indexOf(Buffer.from(needle, 'hex'))).toBe(-1)
    expect(bytes.indexOf('203.0.113')).toBe(-1)
  })
})

describe('where a batch ends', () => {
  it('at a new day, and late packets stay in the batch at hand', async () => {
    const collector = openCollector()
    await collectAll(
      collector,
      capture([{ at: START + 10 }, { at: START + DAY }, { at: START + 20 }, { at: START + DAY + 5 }]),
    )
    expect(collector.batches.map(({ metadata }) => metadata.packets_kept)).toEqual([1, 3])
    const intervals = collector.batches.map(({ path }) =>
      [...addUpFlows(readBatch(path).rows).values()].map(row => Number(row['interval_start']! / 1_000_000n)),
    )
    expect(intervals).toEqual([[START], [START + DAY, START]])
  })

  it('at the batch length asked for', async () => {
    const collector = openCollector({ batchSeconds: 300 })
    await collectAll(collector, capture([0, 299, 300, 900].map(offset => ({ at: START + offset }))))
    expect(collector.batches.map(({ metadata }) => metadata.packets_kept)).toEqual([2, 1, 1])
  })

  it('when the table is full: no packet is lost', async () => {
    const collector = openCollector({ packetsMax: 10 })
    const sources = Array.from({ length: 25 }, (_, index) => ({ at: START + index, src: `8.8.8.${index + 1}` }))
    await collectAll(collector, capture(sources))
    expect(collector.batches.map(({ metadata }) => metadata.flows)).toEqual([10, 10, 5])
    expect(collector.flows).toBe(25)
    expect(collector.batches.flatMap(({ path }) => readBatch(path).rows).length).toBe(25)
  })

  it('when the clock jumps about: what is remembered stays bounded', async () => {
    const collector = openCollector()
    const times = Array.from({ length: 5000 }, (_, index) => ({ at: START + ((7919 * index) % 5_000_000) }))
    await collectAll(collector, capture(times))
    for (const { metadata } of collector.batches) expect(metadata.spans.length).toBeLessThanOrEqual(4096)
    expect(collector.batches.reduce((sum, { metadata }) => sum + metadata.packets_kept, 0)).toBe(5000)
  })
})

describe('what is wrong with a capture', () => {
  it('a capture for another telescope is an error without a batch, and names no address', async () => {
    const collector = openCollector()
    const { summary } = await collector.read(capture([{ at: START, dst: '192.0.2.55' }]))
    await collector.finish()
    expect(summary.error).toMatchObject({ code: 'CAPTURE_OFF_TELESCOPE' })
    expect(JSON.stringify(summary.error)).not.toContain('192.0.2')
    expect(collector.batches).toEqual([])
  })

  it('an empty capture is none', async () => {
    const collector = openCollector()
    const { summary } = await collector.read(capture([]))
    await collector.finish()
    expect(summary).toMatchObject({ packets_read: 0, first_packet: null, error: null })
    expect(collector.batches).toEqual([])
  })

  it('an empty capture with declared time is a batch of coverage alone', async () => {
    const declared = { from: START * 1e6, to: (START + 3600) * 1e6 }
    const collector = openCollector({ declared })
    await collectAll(collector, capture([]))
    const { rows, metadata } = readBatch(collector.batches[0]!.path)
    expect(rows).toEqual([])
    expect(metadata).toMatchObject({
      flows: 0,
      spans: [{ ...declared, basis: 'declared', packets: 0 }],
      first_packet: null,
    })
  })

  it('a damaged tail keeps what came before it', async () => {
    const whole = capture([{ at: START }, { at: START + 1 }, { at: START + 2 }])
    const cut = join(newFolder(), 'cut.pcap')
    writeFileSync(cut, readFileSync(whole).subarray(0, -10))
    const collector = openCollector()
    const { summary } = await collector.read(cut)
    await collector.finish()
    expect(summary).toMatchObject({ packets_read: 2, packets_kept: 2, truncated: true })
    expect(summary.error).toMatchObject({ code: 'CAPTURE_TRUNCATED' })
    expect(collector.batches[0]!.metadata.packets_kept).toBe(2)
  })

  it('a time after 2255 is a drop reason', async () => {
    const collector = openCollector()
    const path = join(newFolder(), 'future.pcapng')
    const { enhancedPacket, interfaceDescription, sectionHeader } = await import('../support/capture-builder.ts')
    const frame = ethernet(0x0800, ipv4({}, tcp()))
    writeFileSync(
      path,
      Buffer.concat([
        sectionHeader(),
        interfaceDescription(),
        enhancedPacket({ frame, timestamp: 2n ** 63n }),
        enhancedPacket({ frame, timestamp: BigInt(START) * 1_000_000n }),
      ]),
    )
    const { summary } = await collector.read(path)
    expect(summary).toMatchObject({ packets_read: 2, packets_kept: 1, drops: { time_invalid: 1 } })
    expect(summary.last_packet).toBe('2024-10-04T00:00:00.000000Z')
  })
})

describe('what is wrong with the output', () => {
  it('a folder that cannot be written is an error, and no batch', async () => {
    const out = join(newFolder(), 'file')
    writeFileSync(out, '')
    const collector = openCollector({ out })
    await collector.read(capture([{ at: START }]))
    await expect(async () => collector.finish()).rejects.toMatchObject({ code: 'OUTPUT_UNWRITABLE' })
  })

  it('removes what a killed process left, and leaves the work of a living one', () => {
    const out = newFolder()
    mkdirSync(join(out, 'tmp'))
    const namespace = /\d+/.exec(readlinkSync('/proc/self/ns/pid'))![0]
    const startOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\) /, '').split(' ')[19]!
    const file = (name: string, daysOld = 0): string => {
      const path = join(out, 'tmp', `${name}-0123456789ab`)
      writeFileSync(path, 'half')
      const seconds = Date.now() / 1000 - daysOld * 86_400
      utimesSync(path, seconds, seconds)
      return path
    }
    const { pid, ppid } = process
    const living = [
      file(`${ppid}-${startOf(ppid)}-${namespace}`, 2),
      file(`${pid}-${startOf(pid)}-${namespace}`, 2),
      // Of another container that shares the folder: nobody here can tell whether it runs.
      file('7-100-1', 0.5),
    ]
    const dead = [
      file(`4194999-100-${namespace}`),
      // In a container a killed process and the one that is started after it have the same number.
      file(`${pid}-100-${namespace}`),
      file(`${ppid}-100-${namespace}`),
      file('7-101-1', 1.5),
    ]
    openCollector({ out })
    expect(living.map(existsSync)).toEqual([true, true, true])
    expect(dead.map(existsSync)).toEqual([false, false, false, false])
  })
})
