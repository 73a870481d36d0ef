import { SENSOR } from './catalog.ts'
import { type Column, type Row, rowJsonSchema, type Table } from './column.ts'
import { LAKE_FLOW, toolColumns } from './flow.ts'

/**
 * Every question that the hub answers, as tables: the parameters and the rows. The route's JSON schema, the OpenAPI
 * document, the TypeScript types of server and page, and the CSV columns all derive from here.
 */

/** A query parameter; all arrive as text and are checked by this. */
export interface Parameter {
  readonly type: 'time' | 'integer' | 'text' | 'choice'
  readonly doc: string
  readonly choices?: readonly string[]
  readonly default?: string
  readonly minimum?: number
  readonly maximum?: number
}
export type ParameterTable = Readonly<Record<string, Parameter>>

const RANGE = {
  since: {
    type: 'time',
    doc: 'Start, inclusive: day, ISO 8601 time with zone, or Unix seconds; on an hour. Default: seven days before until.',
  },
  until: {
    type: 'time',
    doc: 'End, exclusive, on an hour. Default: the end of the last UTC day that has data; days still to come count only when there are no others.',
  },
} as const satisfies ParameterTable

const FILTERS = {
  sensor: { type: 'text', doc: 'Only these sensors, separated by commas.' },
  economy: { type: 'text', doc: 'Only sources of these economies (ISO 3166-1 alpha-2), separated by commas.' },
  protocol: { type: 'text', doc: 'Only these protocols, by name or number, separated by commas.' },
  port: { type: 'integer', minimum: 0, maximum: 65_535, doc: 'Only this service port.' },
  class: { type: 'text', doc: 'Only these traffic classes, separated by commas.' },
} as const satisfies ParameterTable

const LIMIT = {
  limit: { type: 'integer', minimum: 1, maximum: 1000, default: '10', doc: 'Rows at most.' },
} as const satisfies ParameterTable
const COMPARE = {
  compare: {
    type: 'choice',
    choices: ['previous', 'none'],
    default: 'previous',
    doc: 'previous: ranks of the period of the same length just before stand beside, and sensors that listened to less than 80 % of either period, as far as it has passed, leave both (one that had not begun did not listen); when no sensor covered both, nothing is compared and none leaves; none: no comparison, no sensor leaves.',
  },
} as const satisfies ParameterTable

const packetCount = { type: 'uint64', role: 'measure', sharing: 'public', doc: 'Packets.' } as const satisfies Column
const sources = {
  type: 'uint64',
  role: 'measure',
  sharing: 'public',
  doc: 'Distinct source addresses, exact; never compared across telescope sizes.',
} as const satisfies Column
const rate = {
  type: 'float64',
  role: 'measure',
  sharing: 'public',
  nullable: true,
  doc: 'IPv4 packets per address per day: the unweighted mean of the rates of the sensors that listened; a rate is packets / exposed address-days. A sensor has a rate when it listened for at least 60 s of the range or bucket. Null when none has.',
} as const satisfies Column
const share = {
  type: 'float64',
  role: 'measure',
  sharing: 'public',
  doc: 'Part of all packets of the answer before the limit, 0 to 1.',
} as const satisfies Column
const rank = {
  type: 'uint32',
  role: 'measure',
  sharing: 'public',
  doc: 'Place by distinct sources, from 1; equal sources by packets, then by protocol number and port, or by economy.',
} as const satisfies Column
const previousRank = {
  type: 'uint32',
  role: 'measure',
  sharing: 'public',
  nullable: true,
  doc: 'Place in the previous period; null when it was not seen or nothing is compared.',
} as const satisfies Column

export const QUERIES = {
  traffic: {
    doc: 'Traffic over time, one row per bucket and group that has packets or exposure.',
    parameters: {
      ...RANGE,
      ...FILTERS,
      bucket: {
        type: 'choice',
        choices: ['3600', '86400'],
        default: '3600',
        doc: 'Seconds of a bucket; since and until must be on its boundary.',
      },
      by: {
        type: 'choice',
        choices: ['class', 'protocol', 'sensor', 'none'],
        default: 'class',
        doc: 'What to group by.',
      },
    },
    row: {
      bucket_start: {
        type: 'timestamp_us',
        role: 'key',
        sharing: 'public',
        doc: 'Start of the bucket, UTC, inclusive.',
      },
      series: { type: 'text', role: 'key', sharing: 'public', doc: 'Value of the grouping; "all" for none.' },
      packet_count: packetCount,
      byte_count: { type: 'uint64', role: 'measure', sharing: 'public', doc: 'Sum of the IP total lengths, in bytes.' },
      src_addr_unique_count: sources,
      packets_per_addr_day: rate,
    },
  },
  ports: {
    doc: 'Service ports by distinct sources, with their place in the previous period.',
    parameters: { ...RANGE, ...FILTERS, ...COMPARE, ...LIMIT },
    row: {
      rank,
      previous_rank: previousRank,
      protocol: { type: 'text', role: 'key', sharing: 'public', doc: 'Protocol name.' },
      service_port: { type: 'uint16', role: 'key', sharing: 'public', doc: 'Service port; ICMP: type * 256 + code.' },
      service: {
        type: 'text',
        role: 'note',
        sharing: 'public',
        nullable: true,
        doc: 'Name registered with IANA, or of the ICMP type; it does not mean that the protocol was spoken.',
      },
      src_addr_unique_count: sources,
      packet_count: packetCount,
      packets_per_addr_day: rate,
      share,
      mirai_share: {
        type: 'float64',
        role: 'measure',
        sharing: 'public',
        doc: 'Part of the packets that are Mirai-like, 0 to 1.',
      },
    },
  },
  sources: {
    doc: 'Sources by packets.',
    parameters: { ...RANGE, ...FILTERS, ...LIMIT },
    row: {
      src_addr: {
        type: 'ip_addr',
        role: 'key',
        sharing: 'members',
        doc: 'Source address. A SYN proves nothing about who sent it.',
      },
      economy: { type: 'text', role: 'note', sharing: 'public', doc: 'Economy by the geography in use; ZZ unknown.' },
      packet_count: packetCount,
      service_count: { type: 'uint32', role: 'measure', sharing: 'public', doc: 'Distinct (protocol, service port).' },
      sensor_count: { type: 'uint32', role: 'measure', sharing: 'members', doc: 'Sensors that saw it.' },
      first_hour: { type: 'timestamp_us', role: 'note', sharing: 'public', doc: 'First hour with a packet.' },
      last_hour: { type: 'timestamp_us', role: 'note', sharing: 'public', doc: 'Last hour with a packet.' },
      ...toolColumns(),
      tools: {
        type: 'text',
        role: 'note',
        sharing: 'public',
        doc: 'Tools whose matches cannot be chance, as name k/n, separated by |; the probability that n packets of another maker match k times is below 10^-6.',
      },
    },
  },
  economies: {
    doc: 'Economies of sources, by distinct sources.',
    parameters: { ...RANGE, ...FILTERS, ...COMPARE, ...LIMIT },
    row: {
      rank,
      previous_rank: previousRank,
      economy: { type: 'text', role: 'key', sharing: 'public', doc: 'ISO 3166-1 alpha-2; ZZ unknown.' },
      src_addr_unique_count: sources,
      packet_count: packetCount,
      packets_per_addr_day: rate,
      share,
    },
  },
  sensors: {
    doc: 'Sensors that began before until, or all when until is not given, with what they sent in the range.',
    parameters: { ...RANGE },
    row: {
      sensor: SENSOR.sensor,
      economy: SENSOR.economy,
      organisation: SENSOR.organisation,
      ipv4_addr_count: SENSOR.ipv4_addr_count,
      has_ipv6: SENSOR.has_ipv6,
      recording_since: {
        type: 'timestamp_us',
        role: 'note',
        sharing: 'members',
        doc: 'When it began: the earlier of its registration and the first time it listened.',
      },
      packet_count: packetCount,
      src_addr_unique_count: sources,
      packets_per_addr_day: rate,
      coverage: {
        type: 'float64',
        role: 'measure',
        sharing: 'members',
        doc: 'Time listened / time of the range from recording_since up to now, 0 to 1; 0 when there is no such time.',
      },
      last_upload_at: {
        type: 'timestamp_us',
        role: 'note',
        sharing: 'members',
        nullable: true,
        doc: 'When the hub last received something from it.',
      },
      pending_count: {
        type: 'uint32',
        role: 'measure',
        sharing: 'members',
        doc: 'Uploads received and not yet counted.',
      },
      quarantined_count: {
        type: 'uint32',
        role: 'measure',
        sharing: 'members',
        doc: 'Uploads that could not be read.',
      },
      remark_count: {
        type: 'uint32',
        role: 'measure',
        sharing: 'members',
        doc: 'Uploads that are counted although something was wrong with them: cut short, or without a packet for the telescope. The receipt says what.',
      },
      held_count: {
        type: 'uint32',
        role: 'measure',
        sharing: 'members',
        doc: 'Uploads that wait for the operator to decide.',
      },
      withdrawn_count: {
        type: 'uint32',
        role: 'measure',
        sharing: 'members',
        doc: 'Uploads that the operator took out of the numbers.',
      },
    },
  },
  coverage: {
    doc: 'Listened part of each bucket per sensor. A bucket without a row that began before now and ended after recording_since of the sensor was not listened to at all; buckets that begin at or after now have no rows.',
    parameters: {
      ...RANGE,
      sensor: FILTERS.sensor,
      bucket: {
        type: 'choice',
        choices: ['3600', '86400'],
        default: '86400',
        doc: 'Seconds of a bucket; since and until must be on its boundary.',
      },
    },
    row: {
      bucket_start: {
        type: 'timestamp_us',
        role: 'key',
        sharing: 'members',
        doc: 'Start of the bucket, UTC, inclusive.',
      },
      sensor: SENSOR.sensor,
      coverage: {
        type: 'float64',
        role: 'measure',
        sharing: 'members',
        doc: 'Time listened / time of the bucket from recording_since of the sensor up to now, 0 to 1.',
      },
      packet_count: packetCount,
    },
  },
  flows: {
    doc: 'Flows as they lie in the lake, in time order: for looking closely at an hour.',
    parameters: {
      ...RANGE,
      sensor: FILTERS.sensor,
      protocol: FILTERS.protocol,
      port: FILTERS.port,
      class: FILTERS.class,
      src: { type: 'text', doc: 'Only this source address or prefix.' },
      ...LIMIT,
    },
    row: LAKE_FLOW,
  },
} as const satisfies Record<string, { doc: string; parameters: ParameterTable; row: Table }>

export type QueryName = keyof typeof QUERIES
export type QueryRow<N extends QueryName> = Row<(typeof QUERIES)[N]['row']>
/** Parameters as text, as a URL holds them. */
export type QueryParameters<N extends QueryName> = Partial<
  Record<keyof (typeof QUERIES)[N]['parameters'] & string, string>
>

/** What was asked, as it was understood, and what the numbers rest on. */
export interface AnswerMeta {
  /** ISO 8601. */
  readonly since: string
  readonly until: string
  /** Start of the previous period, when one is compared with. */
  readonly previous_since: string | null
  /** Sensors whose packets are in the rows: those that listened. */
  readonly sensors: readonly string[]
  /** Sensors that leave both periods because they listened to less than 80 % of one. */
  readonly sensors_left_out: readonly string[]
  /** IPv4 addresses × days listened, summed over the sensors. */
  readonly exposed_addr_days: number
  /** Rows before the limit. */
  readonly total_rows: number
}

export interface Answer<N extends QueryName> {
  readonly meta: AnswerMeta
  readonly rows: QueryRow<N>[]
}

/** Puts one of the questions, whoever answers: the storage in this process or a running hub. */
export type Ask = <N extends QueryName>(name: N, parameters: QueryParameters<N>) => Promise<Answer<N>>

const META_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['since', 'until', 'previous_since', 'sensors', 'sensors_left_out', 'exposed_addr_days', 'total_rows'],
  properties: {
    since: { type: 'string', format: 'date-time' },
    until: { type: 'string', format: 'date-time' },
    previous_since: { type: 'string', format: 'date-time', nullable: true },
    sensors: { type: 'array', items: { type: 'string' } },
    sensors_left_out: { type: 'array', items: { type: 'string' } },
    exposed_addr_days: { type: 'number' },
    total_rows: { type: 'integer' },
  },
}

/** JSON schema of a whole answer. */
export function answerJsonSchema(name: QueryName): Record<string, unknown> {
  return {
    type: 'object',
    additionalProperties: false,
    required: ['meta', 'rows'],
    properties: { meta: META_SCHEMA, rows: { type: 'array', items: rowJsonSchema(QUERIES[name].row) } },
  }
}

/** JSON schema of a route's query string; unknown parameters are refused. */
export function parametersJsonSchema(parameters: ParameterTable): Record<string, unknown> {
  return {
    type: 'object',
    additionalProperties: false,
    properties: Object.fromEntries(
      Object.entries(parameters).map(([name, parameter]) => [
        name,
        {
          type: 'string',
          maxLength: 1000,
          description: parameter.doc,
          ...(parameter.choices ? { enum: [...parameter.choices] } : {}),
          ...(parameter.default === undefined ? {} : { default: parameter.default }),
        },
      ]),
    ),
  }
}

/** `GET /api/v1/status`: what the page must say about itself. */
export interface Status {
  readonly version: string
  /** Set in the demo: the region is simulated, at this part of the realistic packet rate. */
  readonly demo: null | { readonly scale: number; readonly captures: number; readonly counted: number }
  /** First and end of the UTC days that have data; null while there are none. */
  readonly data_since: string | null
  readonly data_until: string | null
  /** Name and date of the geography table. */
  readonly geography: string
  /** `received` is all of them, whatever became of them; what is in none of the others waits to be counted. */
  readonly uploads: Readonly<Record<'received' | 'counted' | 'quarantined' | 'held' | 'withdrawn', number>>
  /** What the caller may do. */
  readonly role: 'anonymous' | 'sensor' | 'analyst' | 'coordinator'
}
