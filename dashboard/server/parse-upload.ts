import type { Storage } from '../../analytics/storage.ts'
import type { Receipt } from '../../schemas/catalog.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import type { DataFolder } from './data-folder.ts'
import type { ParsePool, ParseResult } from './parse-pool.ts'
import { readSensorKey } from './registration.ts'

/**
 * Has the bytes of an upload parsed by a child, with what its sensor is registered with.
 * @param onTry before a child gets them, each time
 */
export async function parseUpload(
  storage: Storage,
  folder: DataFolder,
  pool: ParsePool,
  { kind, sensor, sha256, byte_count }: Receipt,
  input: string,
  onTry?: () => Promise<void>,
): Promise<ParseResult> {
  const record = await storage.findSensor(sensor)
  if (record === null) throw new TelescopeError('INTERNAL', `sensor "${sensor}" has a receipt and is not registered`)
  const { telescope, telescope_epoch } = record
  if (kind === 'batch') return await pool.parse({ kind, input, sensor, telescope_epoch }, byte_count, onTry)
  const key = await readSensorKey(folder, sensor)
  return await pool.parse({ kind, input, sha256, sensor, telescope, telescope_epoch, key }, byte_count, onTry)
}
