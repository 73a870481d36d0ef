import { existsSync, mkdirSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { parseTelescope } from '../schemas/address.ts'
import { TelescopeError } from '../schemas/errors.ts'
import type { SensorConfig } from '../schemas/sensor-config.ts'
import { checkSensorId } from './collect.ts'
import { collectLive } from './collect-live.ts'
import { decodeOptions } from './decode-options.ts'
import { fileError } from './durable-file.ts'
import { logEvent } from './event-log.ts'
import { parseHubUrl } from './hub-request.ts'
import { type Identity, readIdentity } from './identity.ts'
import { readOrCreateKey } from './key-file.ts'
import { sendSpool } from './send.ts'
import { stopOnSignal } from './stop-signal.ts'

/** Waits before what has failed is begun again: the first, and the longest. */
const RESTART_MS = 5000
const RESTART_MS_MAX = 5 * 60_000
/** How long the last batches may take to be sent when told to stop; what is left waits for the next start. */
const LAST_SENDING_MS = 10_000
const BYTES_PER_MEGABYTE = 1_000_000

/**
 * What `hirundo sensor run` does until a signal: collects live into the spool, and sends it. Either goes on while the
 * other fails: captures are counted while the hub does not take this sensor, and the spool is emptied while the disk is
 * full. A capture folder that is not there yet is waited for.
 * @throws USAGE, IDENTITY_INVALID, KEY_INVALID and the like at the start, for what the file says; DATA_IN_USE
 */
export async function runSensor(config: SensorConfig): Promise<void> {
  const { mode, path, hub, identity, options } = checkSensorConfig(config)
  try {
    mkdirSync(config.spool, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw fileError(error, config.spool)
  }
  const info = (line: string): void => logEvent('info', line)
  const warn = (line: string): void => logEvent('warning', line)
  /** Ends what waits, once a signal came. */
  const asked = new AbortController()
  const sending = new AbortController()
  let wake = (): void => {}
  const stop = stopOnSignal(info, () => {
    asked.abort()
    wake()
  })
  info(`sensor ${config.sensor}: reads ${path}, spool ${config.spool}, sends to ${hub.origin}`)
  const send = (identity: Identity, watch: boolean, signal: AbortSignal) =>
    sendSpool({
      spool: config.spool,
      hub,
      identity,
      watch,
      signal,
      note: warn,
      spoolBytesMax: config.spool_megabytes_max * BYTES_PER_MEGABYTE,
      receiptsMax: config.receipts_max,
      onSent: (batch, upload) =>
        info(`batch ${batch.slice(0, 12)}: received by the hub as upload ${upload.slice(0, 12)}`),
    })
  const collecting = again('collecting', asked.signal, isFinalForCollecting, async () => {
    await collectLive({
      path,
      mode,
      sensor: config.sensor,
      telescope: config.telescope.join(','),
      telescopeEpoch: config.telescope_epoch,
      out: config.spool,
      keyPath: config.key ?? null,
      batchSeconds: config.batch_seconds,
      decodeOptions: options,
      note: warn,
      stop,
      onWake: call => {
        wake = call
      },
    })
    if (!asked.signal.aborted) throw new TelescopeError('CAPTURE_UNREADABLE', `${path}: cannot be read any further`)
  })
  // The identity is read again: whoever makes a new token need not stop the sensor.
  const sender = again(
    'sending',
    sending.signal,
    () => false,
    async attempt => {
      await send(attempt === 0 ? identity : checkedIdentity(config), true, sending.signal)
    },
  )
  try {
    await collecting
  } finally {
    sending.abort()
    await sender
    stop.release()
  }
  const last = await send(identity, false, AbortSignal.timeout(LAST_SENDING_MS)).catch(() => null)
  info(
    `sensor ${config.sensor}: stopped${last === null ? '; batches wait in the spool' : `; ${last.waiting} batches wait`}`,
  )
}

/**
 * What a configuration and the files that it names come to; nothing is made.
 * @throws USAGE, SENSOR_ID_INVALID, ADDRESS_INVALID, PREFIX_OVERLAPS, IDENTITY_INVALID, KEY_INVALID
 */
export function checkSensorConfig(config: SensorConfig) {
  const mode: 'follow' | 'watch' = config.watch === undefined ? 'follow' : 'watch'
  const path = config.watch ?? config.follow
  if (path === undefined || (config.watch !== undefined && config.follow !== undefined)) {
    throw new TelescopeError('USAGE', 'sensor run: the configuration names watch or follow, one of them')
  }
  checkSensorId(config.sensor)
  parseTelescope(config.telescope.join(','))
  const hub = parseHubUrl(config.hub)
  const identity = checkedIdentity(config)
  // One that is not there yet is made.
  if (config.key !== undefined && existsSync(config.key)) readOrCreateKey(config.key)
  const options = decodeOptions(
    {
      ...(config.decapsulate.length === 0 ? {} : { decapsulate: config.decapsulate.join(',') }),
      'verify-checksums': config.verify_checksums,
    },
    'sensor run',
  )
  return { mode, path, hub, identity, options }
}

function checkedIdentity(config: SensorConfig): Identity {
  const identity = readIdentity(config.identity)
  if (identity.sensor === config.sensor) return identity
  throw new TelescopeError(
    'IDENTITY_INVALID',
    `identity ${config.identity}: it is of sensor "${identity.sensor}", the configuration of "${config.sensor}"`,
  )
}

/** What waiting does not mend; a folder of captures may still come, and a disk may be emptied. */
function isFinalForCollecting({ code, kind }: TelescopeError): boolean {
  return kind === 'usage' || kind === 'bug' || code === 'DATA_IN_USE' || code === 'STATE_INVALID'
}

/** Does something again and again until the signal, with longer and longer waits after failures. */
async function again(
  what: string,
  signal: AbortSignal,
  isFinal: (error: TelescopeError) => boolean,
  work: (attempt: number) => Promise<void>,
): Promise<void> {
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      await work(attempt)
    } catch (error) {
      if (!(error instanceof TelescopeError) || isFinal(error)) throw error
      const full = Math.min(RESTART_MS * 2 ** attempt, RESTART_MS_MAX)
      const wait = full / 2 + Math.random() * (full / 2)
      logEvent('error', `${what}: ${error.message} [${error.code}]; again in ${Math.round(wait / 1000)} s`)
      await delay(wait, undefined, { signal }).catch(() => {})
    }
  }
}
