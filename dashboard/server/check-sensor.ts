import type { Storage } from '../../analytics/storage.ts'
import { TelescopeError } from '../../schemas/errors.ts'

/** @throws SENSOR_UNKNOWN */
export async function checkSensor(storage: Storage, sensor: string): Promise<void> {
  if ((await storage.findSensor(sensor)) !== null) return
  throw new TelescopeError(
    'SENSOR_UNKNOWN',
    `sensor "${sensor}" is not registered; name one of hirundo sensor list, or have the coordinator add it by hirundo sensor add`,
    { sensor },
  )
}
