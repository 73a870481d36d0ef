import {
  closeSync,
  copyFileSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ClockWatch } from '../../collector/clock-watch.ts'
import { Collector, type CollectorOptions, latestSecond } from '../../collector/collector.ts'
import { plannableHeader, planSegments } from '../../collector/plan-segments.ts'
import { parseTelescope } from '../../schemas/address.ts'
import { type CaptureSummary, DAYS_PER_UPLOAD_MAX } from '../../schemas/batch.ts'
import { pcap } from '../support/capture-builder.ts'
import { ROOT } from '../support/external.ts'
import { ethernet, ipv4, tcp } from '../support/frame-builder.ts'
import { hirundo } from '../support/hirundo.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// Segments that are planned from record headers and counted by collectors of their own give the batches that one
// collector writes which reads everything in order.

const newFolder = temporaryFolders()
const START = 1_763_800_000

function options(more: Partial<CollectorOptions>): CollectorOptions {
  return {
    sensor: 's',
    telescope: parseTelescope('198.19.1.0/24'),
    telescopeEpoch: 1,
    key: new Uint8Array(32).fill(3),
    out: mkdtempSync(join(newFolder(), 'out-')),
    ...more,
  }
}

async function inOrder(paths: readonly string[], more: Partial<CollectorOptions>) {
  const collector = new Collector(options(more))
  const summaries: CaptureSummary[] = []
  for (const path of paths) summaries.push((await collector.read(path)).summary)
  await collector.finish()
  return { batches: collector.batches.map(({ sha256 }) => sha256).sort(), summaries }
}

async function inSegments(paths: readonly string[], more: Partial<CollectorOptions>, onOpened = (): void => {}) {
  const secondsMax = latestSecond()
  const captures = paths.map(path => {
    const descriptor = openSync(path, 'r')
    return { path, descriptor, header: plannableHeader(descriptor)! }
  })
  onOpened()
  const batchSeconds = more.batchSeconds ?? 86_400
  const clocks: ClockWatch[] = []
  const packetsMax = more.packetsMax ?? 262_144
  const segments = planSegments(captures, { batchSeconds, packetsMax, secondsMax }, clocks)
  const batches: string[] = []
  const empty: Parameters<Collector['writeEmptyBatches']>[0][number][] = []
  const read = paths.map(() => 0)
  const errors = paths.map((): CaptureSummary['error'] => null)
  for (const segment of segments) {
    const collector = new Collector(options({ ...more, secondsMax }))
    const counted = await collector.count(segment)
    await collector.settle()
    batches.push(...collector.batches.map(({ sha256 }) => sha256))
    empty.push(...counted.emptyBatches)
    for (const [at, summary] of counted.summaries.entries()) {
      const { capture } = segment.parts[at]!
      read[capture]! += summary.packets_read
      if (summary.error?.code !== 'CAPTURE_OFF_TELESCOPE') errors[capture] = summary.error
    }
  }
  if (batches.length > 0 && empty.length > 0) {
    const collector = new Collector(options(more))
    collector.writeEmptyBatches(empty)
    batches.push(...collector.batches.map(({ sha256 }) => sha256))
  }
  for (const { descriptor } of captures) closeSync(descriptor)
  return { batches: batches.sort(), read, errors, warnings: clocks.map(clock => clock.warnings) }
}

function isPlannable(path: string): boolean {
  const descriptor = openSync(path, 'r')
  try {
    return plannableHeader(descriptor) !== null
  } finally {
    closeSync(descriptor)
  }
}

async function expectSame(paths: readonly string[], more: Partial<CollectorOptions>): Promise<number> {
  const expected = await inOrder(paths, more)
  const actual = await inSegments(paths, more)
  expect(actual.batches).toEqual(expected.batches)
  expect(actual.read).toEqual(expected.summaries.map(({ packets_read }) => packets_read))
  const errors = expected.summaries.map(({ error }) => (error?.code === 'CAPTURE_OFF_TELESCOPE' ? null : error))
  expect(actual.errors).toEqual(errors)
  expect(actual.warnings).toEqual(expected.summaries.map(({ warnings }) => warnings ?? []))
  return actual.batches.length
}

const KEPT = ethernet(0x0800, ipv4({ src: '203.0.113.7', dst: '198.19.1.7' }, tcp()))
const FOREIGN = ethernet(0x0800, ipv4({ src: '203.0.113.7', dst: '192.0.2.1' }, tcp()))
const NO_IP = ethernet(0x0806, new Uint8Array(28))

const anyRecord = fc.record({
  frame: fc.constantFrom(KEPT, KEPT, KEPT, FOREIGN, NO_IP),
  // Mostly forward, at times back or into another window, at times far in the future.
  step: fc.constantFrom(0, 0, 1, 1, 7, 59, 300, -90, -4000, 90_000, 2_000_000_000),
})
const anyCapture = fc.record({
  records: fc.array(anyRecord, { maxLength: 40 }),
  damage: fc.constantFrom('none', 'none', 'cut', 'garbage', 'zeros'),
  endian: fc.constantFrom('little' as const, 'big' as const),
})

describe('planned segments', () => {
  it('give the same batches, whatever the packets, their order, and the ends of captures', async () => {
    let batches = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyCapture, { minLength: 1, maxLength: 4 }),
        fc.constantFrom(1, 3, 8, 100),
        fc.constantFrom(60, 3600, 86_400),
        fc.constantFrom(null, { from: (START - 50) * 1e6, to: (START + 7000) * 1e6 }),
        async (captures, packetsMax, batchSeconds, declared) => {
          let seconds = START
          const paths = captures.map(({ records, damage, endian }, at) => {
            const made = records.map(({ frame, step }) => {
              if (step < 1e9) seconds += step
              return { frame, seconds: step < 1e9 ? seconds : START + step }
            })
            const bytes = pcap(made, { endian })
            const path = join(newFolder(), `${at}.pcap`)
            const tail =
              damage === 'garbage' ? new Uint8Array(60).fill(0xee) : new Uint8Array(damage === 'zeros' ? 64 : 0)
            writeFileSync(
              path,
              Buffer.concat([damage === 'cut' && bytes.length > 24 ? bytes.subarray(0, -3) : bytes, tail]),
            )
            return path
          })
          batches += await expectSame(paths, { packetsMax, batchSeconds, declared })
        },
      ),
      { numRuns: 60 },
    )
    expect(batches).toBeGreaterThan(120)
  })

  it('give the same batches of real scanners', async () => {
    const folder = `${ROOT}fixtures/captures`
    const paths = readdirSync(folder)
      .map(name => join(folder, name))
      .filter(path => path.endsWith('.pcap') && isPlannable(path))
    expect(paths.length).toBeGreaterThan(20)
    await expectSame(paths, { packetsMax: 100, telescope: parseTelescope('198.19.1.0/24,2001:db8:2::/120') })
  })

  it('end before late packets are of more days than a hub takes', async () => {
    const path = join(newFolder(), 'backwards.pcap')
    const days = Array.from({ length: 2 * DAYS_PER_UPLOAD_MAX + 50 }, (_, day) => ({
      frame: day % 7 === 3 ? NO_IP : KEPT,
      seconds: START - day * 86_400,
    }))
    // The same days again are none more.
    writeFileSync(path, pcap(days.flatMap(record => [record, record])))
    expect(await expectSame([path], {})).toBe(3)
    const collector = new Collector(options({}))
    await collector.read(path)
    await collector.finish()
    const most = collector.batches.map(({ metadata: { first_packet, last_packet } }) => last_packet! - first_packet!)
    for (const span of most) expect(span / 86_400e6).toBeLessThan(DAYS_PER_UPLOAD_MAX)
  })

  it('are of the file that was opened, whatever becomes of its name', async () => {
    const path = join(newFolder(), 'ring.pcap')
    copyFileSync(`${ROOT}fixtures/captures/masscan-syn-23.pcap`, path)
    const expected = await inOrder([path], { packetsMax: 10 })
    expect(expected.batches.length).toBe(7)
    const actual = await inSegments([path], { packetsMax: 10 }, () => {
      rmSync(path)
      copyFileSync(`${ROOT}fixtures/captures/zmap-udp-53.pcap`, path)
    })
    expect(actual.batches).toEqual(expected.batches)
  })

  it('are not made of other formats', () => {
    const folder = `${ROOT}fixtures/captures`
    expect(isPlannable(join(folder, 'format-pcapng.pcapng'))).toBe(false)
    expect(isPlannable(join(folder, 'format-gzip.pcap.gz'))).toBe(false)
  })
})

describe('hirundo collect --jobs', () => {
  it('writes the same batches and says the same with any number of threads', async () => {
    const folder = newFolder()
    const shape = ['--scenario', 'single', '--packets', '900000', '--days', '1', '--seed', '2', '--start', '2026-11-20']
    expect((await hirundo(['simulate', ...shape, '--out', join(folder, 'sim')])).status).toBe(0)
    const truth = JSON.parse(readFileSync(join(folder, 'sim/truth.json'), 'utf8'))
    const captures = truth.captures.map(({ path }: { path: string }) => join(folder, 'sim', path))
    const key = join(folder, 'key')
    writeFileSync(key, 'ab'.repeat(32), { mode: 0o600 })
    const runs = []
    for (const jobs of ['1', '2', '3']) {
      const out = join(folder, `out-${jobs}`)
      const sensor = ['--sensor', 's', '--telescope', truth.sensors[0].prefixes.join(','), '--key', key]
      const { status, stdout } = await hirundo([
        'collect',
        ...captures,
        ...sensor,
        '--out',
        out,
        '--jobs',
        jobs,
        '--json',
      ])
      const { seconds: _, packets_per_second: __, ...summary } = JSON.parse(stdout)
      runs.push({ status, summary, files: readdirSync(out).sort() })
    }
    expect(runs[0]!.status).toBe(0)
    expect(runs[0]!.files.length).toBeGreaterThan(3)
    expect(runs[1]).toEqual(runs[0])
    expect(runs[2]).toEqual(runs[0])
  })
})
