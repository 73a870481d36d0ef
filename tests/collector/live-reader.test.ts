import {
  appendFileSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { captureFile, captureFilesIn } from '../../collector/capture-files.ts'
import { Collector } from '../../collector/collector.ts'
import { LiveReader } from '../../collector/live-reader.ts'
import { LiveState } from '../../collector/live-state.ts'
import { parseTelescope } from '../../schemas/address.ts'
import { enhancedPacket, interfaceDescription, pcap, pcapRecord, sectionHeader } from '../support/capture-builder.ts'
import { ethernet, ipv4, tcp } from '../support/frame-builder.ts'
import { readBatch } from '../support/read-batch.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// Files that grow, come and go, looked at step by step: what is counted, and what is told.

const newFolder = temporaryFolders()
const START = 1_763_800_000

/** A packet of its own source port, so that each is a flow of its own second and source. */
const record = (index: number) =>
  pcapRecord({
    frame: ethernet(0x0800, ipv4({ src: `198.18.0.${index % 250}`, dst: '203.0.113.1' }, tcp())),
    seconds: START + index,
    fraction: index,
  })
const records = (from: number, to: number) =>
  Buffer.concat(Array.from({ length: to - from }, (_, index) => record(from + index)))
const HEADER = pcap([])
const captureOf = (from: number, to: number) => Buffer.concat([HEADER, records(from, to)])

interface Live {
  readonly folder: string
  readonly out: string
  readonly reader: LiveReader
  readonly collector: Collector
  readonly notes: string[]
  /** Kept packets in batches once the one at hand is ended; everything else goes on. */
  counted(): number
  close(): Promise<void>
}

/** A run over a folder, or over the file `a.pcap` in it. */
function startLive({
  folder = newFolder(),
  out = newFolder(),
  isSingle = false,
  batchSeconds = 86_400,
  signal = new AbortController().signal,
} = {}): Live {
  const state = new LiveState(out, 's')
  const collector = new Collector({
    sensor: 's',
    telescope: parseTelescope('203.0.113.0/24'),
    telescopeEpoch: 1,
    key: new Uint8Array(32).fill(7),
    out,
    batchSeconds,
    journal: state,
  })
  const notes: string[] = []
  state.open(note => notes.push(note))
  const single = join(folder, 'a.pcap')
  const reader = new LiveReader({
    collector,
    state,
    list: () => (isSingle ? [captureFile(single)].filter(file => file !== null) : captureFilesIn(folder)),
    isSingle,
    batchSeconds,
    signal,
    note: line => notes.push(line),
    onProgress: () => {},
  })
  const counted = () => {
    collector.endBatch()
    return readdirSync(out)
      .filter(name => name.endsWith('.arrow'))
      .reduce((sum, name) => sum + readBatch(join(out, name)).metadata.packets_read, 0)
  }
  const close = async () => {
    await collector.finish()
    await reader.finish()
    state.close()
  }
  return { folder, out, reader, collector, notes, counted, close }
}

/** Makes a file look as if nothing had been written to it for a minute. */
function age(path: string): void {
  const time = Date.now() / 1000 - 60
  utimesSync(path, time, time)
}

describe('a folder of captures', () => {
  it('may be empty, and hold what is no capture', async () => {
    const { reader, folder, counted } = startLive()
    expect(await reader.readNew()).toBe(false)
    writeFileSync(join(folder, 'notes.txt'), 'this is no capture')
    mkdirSync(join(folder, 'below'))
    writeFileSync(join(folder, '.hidden'), captureOf(0, 3))
    expect(await reader.readNew()).toBe(false)
    expect([counted(), reader.summaries]).toEqual([0, []])
  })

  it('counts a file as it grows, cut anywhere', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 120 }), { minLength: 1, maxLength: 12 }), async cuts => {
        const { reader, folder, counted } = startLive()
        const content = captureOf(0, 10)
        const path = join(folder, 'a.pcap')
        let at = 0
        for (const cut of cuts) {
          appendFileSync(path, content.subarray(at, at + cut))
          at += cut
          await reader.readNew()
        }
        appendFileSync(path, content.subarray(at))
        await reader.readNew()
        expect([counted(), reader.packets]).toEqual([10, 10])
      }),
      { numRuns: 25 },
    )
  })

  it('counts a pcapng as it grows', async () => {
    const { reader, folder, counted } = startLive()
    const frame = ethernet(0x0800, ipv4({ dst: '203.0.113.1' }, tcp()))
    const block = (index: number) => enhancedPacket({ frame, timestamp: BigInt(START + index) * 1_000_000n })
    const path = join(folder, 'a.pcapng')
    writeFileSync(path, Buffer.concat([sectionHeader(), interfaceDescription(), block(0), block(1).subarray(0, 9)]))
    await reader.readNew()
    appendFileSync(path, Buffer.concat([block(1).subarray(9), block(2)]))
    await reader.readNew()
    expect([counted(), reader.packets]).toEqual([3, 3])
  })

  it('reads files in the order of their first packets, whatever their names', async () => {
    const { reader, folder, out, close } = startLive({ batchSeconds: 60 })
    writeFileSync(join(folder, 'a.pcap'), captureOf(200, 260))
    writeFileSync(join(folder, 'b.pcap'), captureOf(0, 60))
    writeFileSync(join(folder, 'c.pcap'), captureOf(100, 160))
    await reader.readNew()
    await close()
    expect(reader.summaries.map(({ path, packets_kept }) => [path.slice(-6), packets_kept])).toEqual([
      ['b.pcap', 60],
      ['c.pcap', 60],
      ['a.pcap', 60],
    ])
    // Late packets would stay in the batch of a later window.
    for (const name of readdirSync(out).filter(name => name.endsWith('.arrow'))) {
      const { first_packet, last_packet } = readBatch(join(out, name)).metadata
      expect(last_packet! - first_packet!).toBeLessThan(60e6)
    }
  })

  it('a file is the same one under another name, with a second name, and compressed', async () => {
    const live = startLive()
    const { reader, folder, counted } = live
    const path = join(folder, 'a.pcap')
    writeFileSync(path, captureOf(0, 5))
    await reader.readNew()
    renameSync(path, join(folder, 'renamed.pcap'))
    linkSync(join(folder, 'renamed.pcap'), join(folder, 'second.pcap'))
    appendFileSync(join(folder, 'second.pcap'), records(5, 8))
    await reader.readNew()
    expect(counted()).toBe(8)
    // As gzip does: the compressed one comes in pieces, then the plain one goes; two packets came that nobody read.
    const zipped = gzipSync(captureOf(0, 10))
    const zip = join(folder, 'a.pcap.gz')
    writeFileSync(zip, zipped.subarray(0, zipped.length - 20))
    age(zip)
    await reader.readNew()
    writeFileSync(zip, zipped)
    rmSync(join(folder, 'renamed.pcap'))
    rmSync(join(folder, 'second.pcap'))
    await reader.readNew()
    expect(reader.packets).toBe(8)
    await delay(2100)
    await reader.readNew()
    expect(counted()).toBe(10)
    // And after a new start.
    await live.close()
    const next = startLive(live)
    await next.reader.readNew()
    expect([next.counted(), next.reader.packets, next.reader.bytesRead]).toEqual([10, 0, 0])
  })

  it('a new start goes on in the middle of a file', async () => {
    const live = startLive()
    writeFileSync(join(live.folder, 'a.pcap'), captureOf(0, 5))
    await live.reader.readNew()
    expect(live.counted()).toBe(5)
    appendFileSync(join(live.folder, 'a.pcap'), records(5, 7))
    // Counted and then lost: no batch holds them when the process dies.
    await live.reader.readNew()
    const next = startLive(live)
    await next.reader.readNew()
    expect([next.reader.packets, next.counted()]).toEqual([2, 7])
  })

  it('a file with a known inode and another beginning is another capture', async () => {
    const live = startLive()
    const path = join(live.folder, 'a.pcap')
    writeFileSync(path, captureOf(0, 5))
    await live.reader.readNew()
    await live.close()
    writeFileSync(path, captureOf(100, 110))
    const next = startLive(live)
    await next.reader.readNew()
    expect([next.reader.packets, next.counted(), next.notes]).toEqual([10, 15, []])
  })

  it('files may vanish after they were read', async () => {
    const { reader, folder, counted, close } = startLive()
    writeFileSync(join(folder, 'a.pcap'), captureOf(0, 5))
    await reader.readNew()
    rmSync(join(folder, 'a.pcap'))
    writeFileSync(join(folder, 'b.pcap'), captureOf(5, 9))
    await reader.readNew()
    await close()
    expect([counted(), reader.summaries.map(({ error }) => error)]).toEqual([9, [null, null]])
  })

  it('tells a file that ends within a record once there is a newer one, and not before', async () => {
    const { reader, folder, notes, counted } = startLive()
    const cut = join(folder, 'a.pcap')
    writeFileSync(cut, captureOf(0, 5).subarray(0, -3))
    age(cut)
    await reader.readNew()
    expect(notes).toEqual([])
    writeFileSync(join(folder, 'b.pcap'), captureOf(5, 8))
    age(cut)
    await reader.readNew()
    expect(reader.summaries).toMatchObject([
      { path: cut, packets_read: 4, truncated: true, error: { code: 'CAPTURE_TRUNCATED' } },
    ])
    expect(notes).toEqual([expect.stringMatching(/a\.pcap: record 5 at byte .* \[CAPTURE_TRUNCATED\]$/)])
    // Should it be written on after all, nothing is lost.
    writeFileSync(cut, captureOf(0, 6))
    await reader.readNew()
    expect(counted()).toBe(9)
  })

  it('reads past a damaged file, and tells it once', async () => {
    const { reader, folder, notes, counted } = startLive()
    const path = join(folder, 'a.pcap')
    writeFileSync(path, Buffer.concat([captureOf(0, 5), Buffer.alloc(16, 0xff)]))
    writeFileSync(join(folder, 'b.pcap'), captureOf(5, 8))
    await reader.readNew()
    appendFileSync(path, 'more')
    await reader.readNew()
    expect([counted(), notes.length, reader.hasFailed]).toEqual([8, 1, false])
    expect(reader.summaries).toMatchObject([{ error: { code: 'CAPTURE_RECORD_INVALID' } }])
  })

  it('tells that a file was rewritten, and reads what it holds now', async () => {
    const { reader, folder, counted } = startLive()
    const path = join(folder, 'a.pcap')
    writeFileSync(path, captureOf(0, 5))
    await reader.readNew()
    // Longer than before: only its beginning tells.
    writeFileSync(path, captureOf(100, 120))
    await reader.readNew()
    await reader.readNew()
    expect(reader.summaries.map(({ packets_read, error }) => [packets_read, error?.code])).toEqual([
      [5, undefined],
      [0, 'CAPTURE_REWRITTEN'],
    ])
    expect(counted()).toBe(25)
  })

  it('says once that a telescope does not fit', async () => {
    const { reader, folder, notes, counted } = startLive()
    const frame = ethernet(0x0800, ipv4({ dst: '192.0.2.1' }, tcp()))
    writeFileSync(join(folder, 'a.pcap'), pcap([{ frame, seconds: START }]))
    await reader.readNew()
    expect(counted()).toBe(1)
    expect(notes).toEqual([
      "batch: none of its 1 packets is for an address of this telescope; check the telescope's prefixes if this goes on",
    ])
  })
})

describe('a single file', () => {
  it('that is replaced is read to its end, and then the new one', async () => {
    const { reader, folder, notes, counted } = startLive({ isSingle: true })
    const path = join(folder, 'a.pcap')
    writeFileSync(path, captureOf(0, 5))
    await reader.readNew()
    renameSync(path, join(folder, 'a.pcap.1'))
    appendFileSync(join(folder, 'a.pcap.1'), records(5, 7))
    writeFileSync(path, captureOf(7, 10))
    await reader.readNew()
    // Its writer may still hold the old one.
    appendFileSync(join(folder, 'a.pcap.1'), records(10, 11))
    await reader.readNew()
    expect([counted(), reader.hasFailed]).toEqual([11, false])
    expect(notes).toEqual([
      `${path}: another file has this name now; it is read from its beginning, after the last of the old one`,
    ])
  })

  it.each([
    ['shorter', (path: string) => truncateSync(path, 100), /it has 100 bytes, but \d+ were read before/],
    ['empty', (path: string) => truncateSync(path, 0), /it has 0 bytes/],
    ['another', (path: string) => writeFileSync(path, captureOf(50, 90)), /its first \d+ bytes have changed/],
  ])('that becomes %s is the end', async (_what, change, message) => {
    const { reader, folder, counted } = startLive({ isSingle: true })
    const path = join(folder, 'a.pcap')
    writeFileSync(path, captureOf(0, 5))
    await reader.readNew()
    change(path)
    await reader.readNew()
    expect([reader.hasFailed, counted()]).toEqual([true, 5])
    expect(reader.summaries.at(-1)).toMatchObject({
      path,
      error: { code: 'CAPTURE_REWRITTEN', message: expect.stringMatching(message) },
    })
  })

  it('that became shorter between two runs is the end', async () => {
    const live = startLive({ isSingle: true })
    const path = join(live.folder, 'a.pcap')
    writeFileSync(path, captureOf(0, 5))
    await live.reader.readNew()
    await live.close()
    truncateSync(path, readFileSync(path).length - 1)
    const next = startLive({ ...live, isSingle: true })
    await next.reader.readNew()
    expect(next.reader.hasFailed).toBe(true)
    expect(next.reader.summaries).toMatchObject([{ packets_read: 0, error: { code: 'CAPTURE_REWRITTEN' } }])
  })

  it('that is no capture is the end', async () => {
    const { reader, folder } = startLive({ isSingle: true })
    writeFileSync(join(folder, 'a.pcap'), 'this is no capture')
    await reader.readNew()
    expect(reader.hasFailed).toBe(true)
    expect(reader.summaries).toMatchObject([{ error: { code: 'CAPTURE_FORMAT_UNKNOWN' } }])
  })
})

describe('a quiet sensor', () => {
  it('has its batch ended after the time of a batch, and what comes later counted in another', async () => {
    const { reader, folder, out, counted } = startLive({ batchSeconds: 1 })
    const batches = () => readdirSync(out).filter(name => name.endsWith('.arrow'))
    writeFileSync(join(folder, 'a.pcap'), captureOf(0, 1))
    await reader.readNew()
    reader.endIdleBatch()
    expect(batches()).toEqual([])
    await delay(1100)
    reader.endIdleBatch()
    reader.endIdleBatch()
    const [name, ...others] = batches()
    expect(others).toEqual([])
    // Listened to its last packet, and not to the moment when it was given up.
    expect(readBatch(join(out, name!)).metadata.spans).toEqual([
      { from: START * 1e6, to: START * 1e6 + 1, basis: 'inferred', packets: 1 },
    ])
    appendFileSync(
      join(folder, 'a.pcap'),
      pcapRecord({ frame: ethernet(0x0800, ipv4({ dst: '203.0.113.2' }, tcp())), seconds: START }),
    )
    await reader.readNew()
    expect([counted(), batches().length]).toEqual([2, 2])
  })
})
