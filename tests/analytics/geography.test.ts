import { utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openStorage } from '../../analytics/duckdb-storage.ts'
import { openGeography } from '../../analytics/geography.ts'
import { parseAddress } from '../../schemas/address.ts'
import { testUpload } from '../support/batch-builder.ts'
import { receiveAndCount } from '../support/count.ts'
import { temporaryFolder } from '../support/data-folder.ts'

function csvFile(text: string): string {
  const path = join(temporaryFolder(), 'table.csv')
  writeFileSync(path, text)
  utimesSync(path, 0, Date.UTC(2026, 9, 1) / 1000)
  return path
}

describe('a CSV table', () => {
  const geography = () =>
    openGeography(
      csvFile(
        'prefix,economy\n198.51.100.0/24,SG\n10.0.0.0/8,JP\n10.1.0.0/16,TH\n10.1.2.0/24,VN\n10.255.255.0/24,LA\n2001:db8::/32,KR\n2001:db8:1::/48,TW\n',
      ),
    )
  test.each([
    ['9.255.255.255', 'ZZ', 'just before the first'],
    ['10.0.0.0', 'JP', 'first of a prefix'],
    ['10.0.255.255', 'JP', 'before a nested one'],
    ['10.1.0.0', 'TH', 'nested'],
    ['10.1.2.3', 'VN', 'nested twice'],
    ['10.1.3.0', 'TH', 'after the inner of three'],
    ['10.2.0.0', 'JP', 'after both inner ones'],
    ['10.255.255.255', 'LA', 'nested at the end of its parent'],
    ['11.0.0.0', 'ZZ', 'just after'],
    ['198.51.100.7', 'SG', 'out of order in the file'],
    ['2001:db8:2::1', 'KR', 'IPv6'],
    ['2001:db8:1::1', 'TW', 'IPv6, nested'],
    ['2001:db9::', 'ZZ', 'IPv6, just after'],
    ['::', 'ZZ', 'the lowest address'],
    ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'ZZ', 'the highest address'],
  ])('%s is %s: %s', (address, economy) => {
    expect(geography().economyOf(parseAddress(address))).toBe(economy)
  })

  test('is named by file and date', () => {
    expect(geography().name).toBe('table.csv 2026-10-01')
  })

  test.each([
    ['no header', '10.0.0.0/8,JP\n', 1],
    ['a prefix with host bits', 'prefix,economy\n10.0.0.1/8,JP\n', 2],
    ['no economy', 'prefix,economy\n10.0.0.0/8,JP\n11.0.0.0/8\n', 3],
    ['an economy in words', 'prefix,economy\n10.0.0.0/8,Japan\n', 2],
  ])('%s is refused with its line', (_, text, line) => {
    expect(() => openGeography(csvFile(text))).toThrow(
      expect.objectContaining({ code: 'GEOGRAPHY_INVALID', details: expect.objectContaining({ line }) }),
    )
  })

  test('a missing file is refused', () => {
    expect(() => openGeography('/nowhere/table.csv')).toThrow(expect.objectContaining({ code: 'GEOGRAPHY_INVALID' }))
  })
})

test('the table that comes with the software knows both families, and says of when it is', () => {
  const geography = openGeography()
  expect(geography.name).toMatch(/^iptoasn-country \d{4}-\d\d-\d\d$/)
  // RIPE NCC's and WIDE's own services: where they are announced has not changed in decades.
  expect(geography.economyOf(parseAddress('193.0.6.139'))).toBe('NL')
  expect(geography.economyOf(parseAddress('2001:200::1'))).toBe('JP')
  expect(geography.economyOf(parseAddress('127.0.0.1'))).toBe('ZZ')
  expect(geography.economyOf(parseAddress('198.18.0.1'))).toBe('ZZ')
})

test('another geography is applied to what was counted before, when numbers are next asked for', async () => {
  const data = temporaryFolder()
  const ask = async (geography: string) => {
    const storage = await openStorage({ data, geography: openGeography(csvFile(geography)) })
    try {
      if ((await storage.listSensors()).length === 0) {
        await storage.addSensor({ sensor: 'alpha', economy: 'JP', organisation: 'A', telescope: '192.0.2.0/28' })
        const flows = [{ time: Date.UTC(2026, 10, 20) / 1000, src: '198.18.0.1' }]
        await receiveAndCount(storage, [testUpload(temporaryFolder(), { sensor: 'alpha', flows })])
      }
      const { rows } = await storage.query('economies', { compare: 'none' }, { sensors: 'all' })
      return rows.map(row => row.economy)
    } finally {
      await storage.close()
    }
  }
  expect(await ask('prefix,economy\n198.18.0.0/15,JP\n')).toEqual(['JP'])
  const later = csvFile('prefix,economy\n198.18.0.0/15,TH\n')
  utimesSync(later, 0, Date.UTC(2026, 10, 1) / 1000)
  const storage = await openStorage({ data, geography: openGeography(later) })
  const { rows } = await storage.query('economies', { compare: 'none' }, { sensors: 'all' })
  await storage.close()
  expect(rows.map(row => row.economy)).toEqual(['TH'])
})
