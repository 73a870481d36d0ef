import type { NumberedReceipt, Storage } from '../../analytics/storage.ts'
import { parseTelescope } from '../../schemas/address.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { markTelescope } from '../../schemas/telescope-mark.ts'
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
  { kind, sensor, sha256, byte_count, upload_id }: NumberedReceipt,
  input: string,
  onTry?: () => Promise<void>,
): Promise<ParseResult> {
  const record = await storage.findSensor(sensor)
  if (record === null) throw new TelescopeError('INTERNAL', `sensor "${sensor}" has a receipt and is not registered`)
  const { telescope, telescope_epoch } = record
  const common = { input, sensor, telescope_epoch, upload_id }
  if (kind === 'batch') {
    const mark = markTelescope(parseTelescope(telescope))
    return await pool.parse({ kind, ...common, telescope: mark }, byte_count, onTry)
  }
  const key = await readSensorKey(folder, sensor)
  return await pool.parse({ kind, ...common, sha256, telescope, key }, byte_count, onTry)
}
