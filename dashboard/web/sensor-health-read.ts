import type { SensorHealth } from '../../schemas/sensor-health.ts'
import { request } from './api.ts'

/** How the sensors that the credential may see are doing, by name. @throws as fetchAnswer */
export async function fetchSensorHealth(token: string | null, signal: AbortSignal): Promise<readonly SensorHealth[]> {
  const { sensors } = await request<{ sensors: readonly SensorHealth[] }>('/api/v1/sensor-health', { signal, token })
  return sensors
}
