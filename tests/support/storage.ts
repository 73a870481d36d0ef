import { onTestFinished } from 'vitest'
import { openStorage, type StorageOptions } from '../../analytics/duckdb-storage.ts'
import type { Geography } from '../../analytics/geography.ts'
import type { Storage } from '../../analytics/storage.ts'
import { type AtEnd, temporaryFolder } from './data-folder.ts'

/** The clock of storages in tests. */
export const TEST_NOW = Date.UTC(2026, 10, 22, 12)

/** Economies by the second byte of 198.x addresses: enough to tell sources apart; everything else is unknown. */
export const TEST_GEOGRAPHY: Geography = {
  name: 'test geography 2026-11-01',
  economyOf(address) {
    if (address >> 24n === 0xffffc6n) return (address >> 16n) & 1n ? 'TH' : 'JP'
    return 'ZZ'
  },
}

/** A storage in a folder of its own, closed when the test ends; in a hook, which is no test, say when. */
export async function temporaryStorage(
  options: Partial<StorageOptions> = {},
  atEnd: AtEnd = onTestFinished,
): Promise<Storage> {
  const storage = await openStorage({
    data: temporaryFolder(atEnd),
    geography: TEST_GEOGRAPHY,
    now: () => TEST_NOW,
    ...options,
  })
  atEnd(() => storage.close())
  return storage
}
