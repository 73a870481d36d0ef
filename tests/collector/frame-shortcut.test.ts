import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { Collector, type CollectorOptions } from '../../collector/collector.ts'
import { FrameShortcut } from '../../collector/frame-shortcut.ts'
import { simulate } from '../../fixtures/simulator/simulate.ts'
import { parseTelescope } from '../../schemas/address.ts'
import {
  enhancedPacket,
  interfaceDescription,
  MAGIC_MICROSECONDS,
  pcap,
  sectionHeader,
} from '../support/capture-builder.ts'
import { ROOT } from '../support/external.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// The shortcut for common frames writes the same bytes as the general way.

const newFolder = temporaryFolders()
const RECORD_HEADER = 16
const FILE_HEADER = 24
const MUTATIONS = 24

interface Case {
  readonly name: string
  readonly path: string
  readonly telescope: string
}

let simulated: Case[] = []
const fixtures: Case[] = readdirSync(`${ROOT}fixtures/captures`)
  .filter(name => name.endsWith('.pcap'))
  .map(name => ({ name, path: `${ROOT}fixtures/captures/${name}`, telescope: '198.19.1.0/24,2001:db8:2::/120' }))

beforeAll(async () => {
  const out = newFolder()
  const { truth } = await simulate({
    scenario: 'single',
    packets: 60_000,
    days: 1,
    seed: 5,
    start: Date.UTC(2026, 10, 21) / 1000,
    out,
  })
  const telescope = truth.sensors[0]!.prefixes.join(',')
  simulated = truth.captures.map(({ path }) => ({ name: path, path: join(out, path), telescope }))
}, 60_000)

afterEach(() => {
  vi.restoreAllMocks()
})

async function collected(path: string, telescope: string, options: Partial<CollectorOptions>) {
  const collector = new Collector({
    sensor: 's',
    telescope: parseTelescope(telescope),
    telescopeEpoch: 1,
    key: new Uint8Array(32).fill(3),
    out: mkdtempSync(join(newFolder(), 'out-')),
    ...options,
  })
  const { summary } = await collector.read(path)
  await collector.finish()
  return { summary, batches: collector.batches.map(batch => batch.sha256) }
}

async function expectSame(path: string, telescope: string, options: Partial<CollectorOptions> = {}): Promise<void> {
  const general = await collected(path, telescope, { ...options, shortcut: false })
  expect(await collected(path, telescope, options)).toEqual(general)
}

/** Counts the packets that shortcuts take from now on. */
function countTaken(): () => number {
  let taken = 0
  const { count } = FrameShortcut.prototype
  vi.spyOn(FrameShortcut.prototype, 'count').mockImplementation(function (this: FrameShortcut, ...args) {
    const before = this.packets
    const next = count.apply(this, args)
    taken += this.packets - before
    return next
  })
  return () => taken
}

function hasMicroseconds(path: string): boolean {
  return readFileSync(path).readUInt32LE(0) === MAGIC_MICROSECONDS
}

/** The packets of a microsecond pcap in enhanced packet blocks; times in 10^-resolution s. */
function asPcapng(path: string, resolution: number): string {
  const capture = readFileSync(path)
  const linkType = capture.readUInt32LE(20)
  const unit = 10n ** BigInt(resolution)
  const blocks: Uint8Array[] = [sectionHeader(), interfaceDescription({ linkType, resolution })]
  for (let at = FILE_HEADER; at + RECORD_HEADER <= capture.length; ) {
    const length = capture.readUInt32LE(at + 8)
    const frame = capture.subarray(at + RECORD_HEADER, at + RECORD_HEADER + length)
    const microseconds = BigInt(capture.readUInt32LE(at)) * 1_000_000n + BigInt(capture.readUInt32LE(at + 4))
    const ticks = (microseconds * unit) / 1_000_000n
    blocks.push(enhancedPacket({ frame, timestamp: ticks, originalLength: capture.readUInt32LE(at + 12) }))
    at += RECORD_HEADER + length
  }
  const file = join(newFolder(), 'same.pcapng')
  writeFileSync(file, Buffer.concat(blocks))
  return file
}

/** A small generator, so that a failure can be run again (mulberry32). */
function random(seed: number): (below: number) => number {
  let state = seed
  return below => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/** Changes header bytes, cuts frames, and moves clocks, in about every third record. */
function mutated(capture: Uint8Array, seed: number): Buffer {
  const below = random(seed)
  const pieces: Buffer[] = [Buffer.from(capture.subarray(0, FILE_HEADER))]
  for (let at = FILE_HEADER; at + RECORD_HEADER <= capture.length; ) {
    const length = Buffer.from(capture.buffer, capture.byteOffset + at, 16).readUInt32LE(8)
    const record = Buffer.from(capture.subarray(at, at + RECORD_HEADER + length))
    at += RECORD_HEADER + length
    const what = below(12)
    // Often near the values that rules ask for.
    if (what === 0) record[RECORD_HEADER + below(Math.min(length, 60))] = below(256)
    else if (what === 1) record[RECORD_HEADER + 12 + below(Math.min(length - 12, 46))]! ^= 1 << below(8)
    else if (what === 2) record.writeUInt32LE(record.readUInt32LE(0) + below(7) - 3, 0)
    else if (what === 3) record.writeUInt32LE(below(1_100_000), 4)
    else if (what === 4) {
      const cut = below(length)
      record.writeUInt32LE(cut, 8)
      pieces.push(record.subarray(0, RECORD_HEADER + cut))
      continue
    } else if (what === 5 && length > 38) record.writeUInt16BE([0, 53, 123, 40_000][below(4)]!, RECORD_HEADER + 34)
    else if (what === 6) pieces.push(record)
    pieces.push(record)
  }
  return Buffer.concat(pieces)
}

describe('shortcut', () => {
  it('takes nearly all packets of a simulated telescope, and writes the same batches', async () => {
    const { path, telescope } = simulated[0]!
    for (const file of [path, asPcapng(path, 6), asPcapng(path, 9)]) {
      const taken = countTaken()
      const { summary } = await collected(file, telescope, {})
      expect(taken() / summary.packets_read).toBeGreaterThan(0.95)
      vi.restoreAllMocks()
    }
    for (const capture of simulated) await expectSame(capture.path, capture.telescope)
  })

  it.each([6, 9])('writes the same batches of pcapng with times in 10^-%i s', async resolution => {
    for (const { path, telescope } of [...simulated, ...fixtures]) {
      const capture = asPcapng(path, resolution)
      await expectSame(capture, telescope, { packetsMax: 700 })
      const { batches } = await collected(path, telescope, {})
      if (hasMicroseconds(path)) expect((await collected(capture, telescope, {})).batches).toEqual(batches)
    }
  })

  it.each(fixtures)('writes the same batches of $name', async ({ path, telescope }) => {
    await expectSame(path, telescope)
    await expectSame(path, '198.0.0.0/7', { packetsMax: 5 })
  })

  it('writes the same batches however they end, and whatever time is declared', async () => {
    const { path, telescope } = simulated[0]!
    const day = Date.UTC(2026, 10, 21) * 1000
    const from = day + 3_600_500_000
    for (const declared of [null, { from, to: from + 7_200_250_001 }, { from: day - 1, to: day + 1 }]) {
      await expectSame(path, telescope, { declared, batchSeconds: 90 * 60 + 7 })
      await expectSame(path, telescope, { declared, packetsMax: 1000 })
    }
  })

  it('sees a step back from a packet that is not for the telescope', async () => {
    const { path, telescope } = simulated[0]!
    const capture = readFileSync(path)
    const frame = capture.subarray(FILE_HEADER + RECORD_HEADER, FILE_HEADER + RECORD_HEADER + capture.readUInt32LE(32))
    const foreign = Buffer.from(frame)
    foreign.writeUInt32BE(0x08080808, 30)
    const start = capture.readUInt32LE(FILE_HEADER) + 120
    const file = join(newFolder(), 'back.pcap')
    // Beyond the interval, within it, and in front of what was counted.
    for (const ahead of [1074, 45, 1, -30]) {
      const records = [0, 1, ahead, 2, 3].map((second, index) => ({
        frame: index === 2 ? foreign : frame,
        seconds: start + second,
      }))
      writeFileSync(file, pcap(records))
      await expectSame(file, telescope)
      const { summary } = await collected(file, telescope, {})
      expect((summary.warnings ?? []).map(({ code }) => code)).toEqual(ahead > 60 ? ['CAPTURE_TIME_BACKWARDS'] : [])
    }
  })

  it('writes the same batches of damaged and unordered captures', async () => {
    const file = join(newFolder(), 'mutated.pcap')
    const captures = [...fixtures, ...simulated]
    for (const { path, telescope, name } of captures) {
      const capture = readFileSync(path).subarray(0, 400_000)
      for (let seed = 1; seed <= MUTATIONS; seed++) {
        writeFileSync(file, mutated(capture, seed))
        try {
          await expectSame(file, telescope, { packetsMax: 500 })
          if (seed % 3 === 0) await expectSame(asPcapng(file, 6), telescope, { packetsMax: 500 })
        } catch (error) {
          throw new Error(`${name}, seed ${seed}`, { cause: error })
        }
        if (capture.length === 400_000 && seed === 6) break
      }
    }
  }, 120_000)
})
