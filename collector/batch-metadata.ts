import { type BatchMetadata, FLOWS_PER_BATCH_MAX, isSensorId } from '../schemas/batch.ts'
import { SPAN_BASES, type SpanBasis } from '../schemas/catalog.ts'
import type { ListenedSpan } from '../schemas/coverage.ts'
import { DROP_REASON_NAMES, type DropReason } from '../schemas/drop-reason.ts'
import { TelescopeError } from '../schemas/errors.ts'
import { SCHEMA_VERSION } from '../schemas/flow.ts'
import type { TelescopeMark } from '../schemas/telescope-mark.ts'

/** More than our own collector ever writes. */
const SPANS_MAX = 10_000
/** Characters of a value that a message shows. */
const SHOWN_LENGTH = 40

type Json = Record<string, unknown>

/**
 * Reads the metadata of a batch that came from outside, and nothing of it that we do not know.
 * @throws BATCH_INVALID, BATCH_VERSION_UNSUPPORTED
 */
export function parseBatchMetadata(text: string | undefined): BatchMetadata {
  const json = parseObject(text)
  const version = json['schema_version']
  if (version !== SCHEMA_VERSION) {
    throw new TelescopeError(
      'BATCH_VERSION_UNSUPPORTED',
      `batch: schema version ${showValue(version)}, this hub reads ${SCHEMA_VERSION}; use the collector of the hub's release`,
      { expected: SCHEMA_VERSION },
    )
  }
  const metadata: BatchMetadata = {
    schema_version: SCHEMA_VERSION,
    sensor: sensorOf(json['sensor']),
    telescope_epoch: count(json, 'telescope_epoch', 65_535),
    ...(json['telescope'] === undefined ? {} : { telescope: markOf(json['telescope']) }),
    ...(json['key_check'] === undefined ? {} : { key_check: keyCheckOf(json['key_check']) }),
    spans: spansOf(json['spans']),
    flows: count(json, 'flows', FLOWS_PER_BATCH_MAX),
    packets_read: count(json, 'packets_read'),
    packets_kept: count(json, 'packets_kept'),
    drops: dropsOf(json['drops']),
    first_packet: json['first_packet'] === null ? null : count(json, 'first_packet'),
    last_packet: json['last_packet'] === null ? null : count(json, 'last_packet'),
  }
  checkSums(metadata)
  return metadata
}

function checkSums(metadata: BatchMetadata): void {
  const { packets_read: read, packets_kept: kept, first_packet: first, last_packet: last } = metadata
  const dropped = Object.values(metadata.drops).reduce((sum, value) => sum + value, 0)
  if (read !== kept + dropped) invalid(`${read} packets read, but ${kept} kept and ${dropped} dropped`)
  const covered = metadata.spans.reduce((sum, span) => sum + span.packets, 0)
  if (covered > kept) invalid(`spans hold ${covered} packets, but ${kept} were kept`)
  if (kept > 0 && metadata.spans.length === 0) invalid(`${kept} packets were kept, but no time was listened`)
  if ((first === null) !== (kept === 0) || (last === null) !== (kept === 0)) {
    invalid(`first_packet and last_packet must be null when no packet was kept, and only then; ${kept} were`)
  }
  if (first !== null && last !== null && first > last) invalid('first_packet is after last_packet')
}

function parseObject(text: string | undefined): Json {
  if (text === undefined) invalid('no metadata')
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    invalid('metadata is no JSON')
  }
  if (!isObject(json)) invalid('metadata is no JSON object')
  return json
}

function sensorOf(value: unknown): string {
  if (typeof value !== 'string' || !isSensorId(value)) invalid(`sensor ${showValue(value)} is no sensor name`)
  return value
}

function markOf(value: unknown): TelescopeMark {
  if (!isObject(value)) invalid('telescope is no object')
  return { ipv4_addr_count: count(value, 'ipv4_addr_count', 2 ** 32), check: count(value, 'check', 255) }
}

function keyCheckOf(value: unknown): string {
  if (typeof value !== 'string' || !/^[0-9a-f]{16}$/.test(value)) invalid(`key_check ${showValue(value)} is none`)
  return value
}

function spansOf(value: unknown): ListenedSpan[] {
  if (!Array.isArray(value) || value.length > SPANS_MAX) invalid(`spans must be a list of at most ${SPANS_MAX}`)
  let end = 0
  return value.map((item: unknown, index): ListenedSpan => {
    if (!isObject(item)) invalid(`span ${index} is no object`)
    const basis = item['basis']
    if (!SPAN_BASES.includes(basis as SpanBasis)) invalid(`span ${index}: basis is none of ${SPAN_BASES.join(', ')}`)
    const span = {
      from: count(item, 'from'),
      to: count(item, 'to'),
      basis: basis as SpanBasis,
      packets: count(item, 'packets'),
    }
    if (span.from < end || span.to <= span.from) invalid(`span ${index} is empty, or not after the one before it`)
    end = span.to
    return span
  })
}

function dropsOf(value: unknown): Partial<Record<DropReason, number>> {
  if (!isObject(value)) invalid('drops is no object')
  const unknown = Object.keys(value).find(name => !DROP_REASON_NAMES.includes(name as DropReason))
  if (unknown !== undefined) invalid(`drop reason ${showValue(unknown)} is unknown`)
  // In our order, so that the batch we write does not depend on theirs.
  return Object.fromEntries(
    DROP_REASON_NAMES.filter(name => Object.hasOwn(value, name)).map(name => [name, count(value, name)]),
  )
}

function count(json: Json, name: string, maximum = Number.MAX_SAFE_INTEGER): number {
  const value = json[name]
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > maximum) {
    invalid(`${name} ${showValue(value)} is no whole number from 0 to ${maximum}`)
  }
  return value
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Text from outside, short and on one line, with nothing that a terminal or a log would obey. */
function showValue(value: unknown): string {
  // Lists within lists can be too deep for JSON.stringify.
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? '[...]' : '{...}'
  const text = typeof value === 'string' ? JSON.stringify(value.slice(0, SHOWN_LENGTH)) : String(value)
  return text.slice(0, SHOWN_LENGTH).replace(/[^\x20-\x7e]/g, '?')
}

function invalid(what: string): never {
  throw new TelescopeError('BATCH_INVALID', `batch: ${what}`)
}
