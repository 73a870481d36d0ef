import { expect, test } from 'vitest'
import { weeklyBundle } from '../../analytics/report/weekly-bundle.ts'
import { weeklyFigures } from '../../analytics/report/weekly-figures.ts'
import type { Storage } from '../../analytics/storage.ts'
import type { Ask } from '../../schemas/api.ts'
import { DAY_SECONDS, HOUR_SECONDS, MICROSECONDS } from '../../schemas/time.ts'
import { testUpload } from '../support/batch-builder.ts'
import { receiveAndCount } from '../support/count.ts'
import { temporaryFolder } from '../support/data-folder.ts'
import { temporaryStorage } from '../support/storage.ts'

/*
 * A week asked about on its Thursday at 18:15, and after its end. "live" listened all the time; "off" lost the whole
 * Tuesday and half of the Wednesday; "late" was registered on the Wednesday at 12:00 and listened since.
 */
const WEEK = '2026-W47'
const MONDAY = Date.UTC(2026, 10, 16) / 1000
const at = (day: number, hours = 0): number => MONDAY + day * DAY_SECONDS + hours * HOUR_SECONDS
const THURSDAY = at(3, 18.25)
const SOURCE = { geography: 'test geography', version: '0.0.0', demo: false }

async function region(): Promise<{ storage: Storage; setClock(seconds: number): void }> {
  let clock = at(0)
  const storage = await temporaryStorage({ now: () => clock * 1000 })
  let block = 0
  const register = (sensor: string) =>
    storage.addSensor({ sensor, economy: 'JP', organisation: 'x', telescope: `10.0.${block++}.0/28` })
  await register('live')
  await register('off')
  clock = at(2, 12)
  await register('late')
  // A declared span must have passed when it is counted; the questions are asked on an earlier day.
  clock = at(7)
  const folder = temporaryFolder()
  const upload = (sensor: string, ...spans: [number, number][]) =>
    testUpload(folder, {
      sensor,
      flows: [{ time: spans[0]![0], src: '198.18.0.1', service_port: 23 }],
      spans: spans.map(([from, to]) => ({
        from: from * MICROSECONDS,
        to: to * MICROSECONDS,
        basis: 'declared' as const,
        packets: 0,
      })),
    })
  await receiveAndCount(storage, [
    upload('live', [at(0), at(7)]),
    upload('off', [at(0), at(1)], [at(2, 12), at(7)]),
    upload('late', [at(2, 12), at(7)]),
  ])
  clock = THURSDAY
  return {
    storage,
    setClock(seconds) {
      clock = seconds
    },
  }
}

async function bundleAt(storage: Storage, now: number): Promise<ReadonlyMap<string, string>> {
  const ask: Ask = (name, parameters) => storage.query(name, parameters, { sensors: 'all' })
  return weeklyBundle(await weeklyFigures(ask, WEEK, now), SOURCE)
}

/** Cells of the coverage table by sensor: economy, week, seven days. */
function coverageCells(html: string): Record<string, string[]> {
  const table = html.slice(html.indexOf('Part of the time that each sensor listened'))
  return Object.fromEntries(
    [...table.matchAll(/<th scope="row">(\w+)<\/th>(.*)<\/tr>/g)].map(([, sensor, cells]) => [
      sensor!,
      [...cells!.matchAll(/<td[^>]*>([^<]*)<\/td>/g)].map(([, cell]) => cell!),
    ]),
  )
}

test('a week that is not over says so, and days that have not come are no outage', async () => {
  const { storage } = await region()
  const files = await bundleAt(storage, THURSDAY)
  const html = files.get('report.html')!
  expect(html).toContain('This week is not over: figures until 2026-11-19 18:00 UTC.')
  expect(JSON.parse(files.get('manifest.json')!)).toMatchObject({
    complete: false,
    since: '2026-11-16T00:00:00Z',
    until: '2026-11-23T00:00:00Z',
    figures_until: '2026-11-19T18:00:00Z',
    coverage: { live: 1, off: (90.25 - 36) / 90.25, late: 1 },
  })
  expect(coverageCells(html)).toEqual({
    live: ['JP', '100%', '100%', '100%', '100%', '100%', '–', '–', '–'],
    // 54.25 of 90.25 h.
    off: ['JP', '60.1%', '100%', '0%', '50%', '100%', '–', '–', '–'],
    late: ['JP', '100%', '–', '–', '100%', '100%', '–', '–', '–'],
  })
})

test('a finished week gives the same bytes whenever it is asked about', async () => {
  const { storage, setClock } = await region()
  setClock(at(7))
  const first = await bundleAt(storage, at(7))
  expect(first.get('report.html')).not.toContain('not over')
  expect(JSON.parse(first.get('manifest.json')!)).toMatchObject({
    complete: true,
    figures_until: '2026-11-23T00:00:00Z',
    // 36 of the 168 h were lost.
    coverage: { live: 1, off: 132 / 168, late: 1 },
  })
  expect(coverageCells(first.get('report.html')!)).toMatchObject({
    live: ['JP', '100%', ...Array.from({ length: 7 }, () => '100%')],
    late: ['JP', '100%', '–', '–', '100%', '100%', '100%', '100%', '100%'],
  })
  setClock(at(40, 5.5))
  expect(Object.fromEntries(await bundleAt(storage, at(40, 5.5)))).toEqual(Object.fromEntries(first))
})

test('on the first hour of a day that day is no outage yet', async () => {
  const { storage, setClock } = await region()
  setClock(at(1, 0.5))
  // Tuesday has begun; off has not listened yet.
  expect(coverageCells((await bundleAt(storage, at(1, 0.5))).get('report.html')!)['off']).toEqual([
    'JP',
    '98%',
    '100%',
    ...Array.from({ length: 6 }, () => '–'),
  ])
})
