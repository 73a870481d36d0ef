import type { FastifyRequest } from 'fastify'
import type { Storage } from '../../../analytics/storage.ts'
import type { ParameterTable } from '../../../schemas/api.ts'
import { type Subject, sensorOf } from '../access.ts'
import { checkSensor } from '../check-sensor.ts'

/** What all ways to upload read off a request. */

export const SENSOR_PARAMETER = {
  sensor: { type: 'text', doc: 'The sensor; needed by a credential that is not bound to one.' },
} as const satisfies ParameterTable

/**
 * The sensor that the upload is of.
 * @throws FORBIDDEN, QUERY_INVALID, SENSOR_UNKNOWN
 */
export async function registeredSensor(
  { subject, query }: { subject: Subject; query: { sensor?: string } },
  storage: Storage,
): Promise<string> {
  const sensor = sensorOf(subject, query.sensor)
  await checkSensor(storage, sensor)
  return sensor
}

/** Where to ask what became of an upload; a credential that is bound to no sensor has to name it there, too. */
export function receiptPath({ subject }: { subject: Subject }, sha256: string, sensor: string): string {
  return `/api/v1/receipts/${sha256}${sensorQuery(subject, sensor)}`
}

/** What a path needs so that this caller may follow it. */
export function sensorQuery(subject: Subject, sensor: string): string {
  return subject.sensor === null ? `?sensor=${sensor}` : ''
}

/** Bytes of the body; null when the request does not say. */
export function announcedLength(request: FastifyRequest): number | null {
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers
  if (length !== undefined) return Number(length)
  return encoding === undefined ? 0 : null
}
