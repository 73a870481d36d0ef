import type { ConfigTable, ConfigValues } from './config.ts'

/** The file of `hirundo sensor run --config FILE`. */
export const SENSOR_CONFIG = {
  kind: { type: 'text', required: true, names: ['sensor'], doc: 'That this is the file of a sensor: "sensor".' },
  sensor: { type: 'text', required: true, doc: 'Name of the sensor, as it is registered at the hub.' },
  telescope: { type: 'texts', required: true, doc: 'Its dark prefixes, a list of CIDRs.' },
  telescope_epoch: {
    type: 'integer',
    minimum: 1,
    maximum: 65_535,
    default: 1,
    doc: 'Number of the present prefixes and key, as the hub counts them. Default: 1.',
  },
  hub: { type: 'text', required: true, doc: 'Address of the hub, https://hub.example.' },
  identity: { type: 'text', required: true, doc: 'File by which the hub knows the sensor, mode 600.' },
  spool: { type: 'text', required: true, doc: 'Folder for batches, state and receipts; made when missing.' },
  watch: { type: 'text', doc: 'Folder into which captures are rotated; this or follow.' },
  follow: { type: 'text', doc: 'One capture that grows; this or watch.' },
  key: { type: 'text', doc: 'Key that hides destination addresses. Default: SPOOL/SENSOR.key.' },
  batch_seconds: {
    type: 'integer',
    minimum: 60,
    maximum: 86_400,
    default: 300,
    doc: 'Capture time of one batch. Default: 300.',
  },
  decapsulate: {
    type: 'texts',
    default: [],
    doc: 'Tunnels that are looked into: ipip, gre, erspan, vxlan, geneve. Default: none.',
  },
  verify_checksums: { type: 'boolean', default: false, doc: 'Drop packets with wrong checksums. Default: false.' },
  spool_megabytes_max: {
    type: 'integer',
    minimum: 1,
    maximum: 10_000_000,
    default: 10_000,
    doc: 'Batches that wait take at most this; beyond it the oldest are given up, and the hub is told. Default: 10000.',
  },
  receipts_max: {
    type: 'integer',
    minimum: 10,
    maximum: 1_000_000,
    default: 10_000,
    doc: 'Receipts kept in the spool, the latest; the hub keeps all for ever. Default: 10000.',
  },
} as const satisfies ConfigTable

export type SensorConfig = ConfigValues<typeof SENSOR_CONFIG>
