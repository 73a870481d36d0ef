import { QUERIES } from './api.ts'
import { AUDIT } from './audit.ts'
import { BATCH_METADATA_KEY, FLOWS_PER_BATCH_MAX } from './batch.ts'
import { COVERAGE_SPAN, LAKE_FILE, RECEIPT, RECEIPT_KEY, SENSOR, SOURCE_ECONOMY, TOKEN } from './catalog.ts'
import { CHANGED_DAY, CLOSED_DAY, LISTENED_DAY } from './closed-day.ts'
import { duckdbType, physicalColumns, type Table } from './column.ts'
import { DROP_REASONS } from './drop-reason.ts'
import { ERROR_CODES } from './errors.ts'
import { FLOW, LAKE_FLOW, SCHEMA_VERSION } from './flow.ts'
import { SENSOR_HOUR, SOURCE_HOUR, TRAFFIC_HOUR } from './rollup.ts'
import { INVITATION, SENSOR_KEY } from './sensor-key.ts'
import { SEQUENCE_GAP, UPLOAD_SPOOL } from './sequence-gap.ts'
import { TOOLS } from './tool.ts'
import { UDP_PROBES } from './udp-probe.ts'

/** The tables that data lies in, with what a reader of the files must know. */
export const STORED_TABLES: Readonly<Record<string, { readonly table: Table; readonly doc: string }>> = {
  flow: {
    table: FLOW,
    doc: `A row of a batch (Arrow stream, schema version ${SCHEMA_VERSION}; sensor, listened spans and totals stand as JSON under \`${BATCH_METADATA_KEY}\` in the metadata of the schema; at most ${FLOWS_PER_BATCH_MAX} rows).`,
  },
  lake_flow: { table: LAKE_FLOW, doc: 'A row of a Parquet file of the lake. Keys are not unique there: sum.' },
  traffic_hour: { table: TRAFFIC_HOUR, doc: 'Hourly rollup, in the catalog.' },
  source_hour: { table: SOURCE_HOUR, doc: 'Hourly rollup by source, in the catalog.' },
  sensor_hour: { table: SENSOR_HOUR, doc: 'Hourly rollup by sensor, in the catalog.' },
  sensor: { table: SENSOR, doc: 'Registered sensors, in the catalog.' },
  receipt: { table: RECEIPT, doc: 'Every upload that was ever acknowledged, in the catalog.' },
  upload_spool: { table: UPLOAD_SPOOL, doc: 'Spools of sensors that number their uploads, in the catalog.' },
  sequence_gap: { table: SEQUENCE_GAP, doc: 'Numbers of uploads that did not come, in the catalog.' },
  receipt_key: { table: RECEIPT_KEY, doc: 'Where older receipts stand, in sorted runs, in the catalog.' },
  receipt_key_recent: { table: RECEIPT_KEY, doc: 'Where the newest receipts stand, in the catalog.' },
  coverage_span: { table: COVERAGE_SPAN, doc: 'When sensors listened, in the catalog.' },
  closed_day: { table: CLOSED_DAY, doc: 'Days whose listened spans are joined, in the catalog.' },
  listened_day: {
    table: LISTENED_DAY,
    doc: 'Listened spans of these days, joined, in the catalog; derived from coverage_span.',
  },
  changed_day: { table: CHANGED_DAY, doc: 'Days whose receipts were changed later, in the catalog.' },
  source_economy: { table: SOURCE_ECONOMY, doc: 'Economies of sources, in the catalog.' },
  lake_file: { table: LAKE_FILE, doc: 'Manifest of the lake, in the catalog.' },
  token: { table: TOKEN, doc: 'Tokens, in the catalog.' },
  sensor_key: { table: SENSOR_KEY, doc: 'Public keys of sensors, in the catalog.' },
  invitation: { table: INVITATION, doc: 'Codes by which sensors enrol, in the catalog.' },
  audit: { table: AUDIT, doc: 'Audit log, in the catalog; append-only, each entry chained to the one before.' },
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}

function storedSection(name: string, table: Table, doc: string): string {
  const rows = Object.entries(table).map(([column, { type, role, sharing, doc: meaning, nullable, names }]) => {
    const physical = physicalColumns({ [column]: table[column]! })
    const stored = physical
      .map(part => (part.name === column ? '' : `${part.name} `) + duckdbType(part.type))
      .join(', ')
    const values = names ? ` Values: ${names.map((value, index) => `${index} ${value}`).join(', ')}.` : ''
    return `| \`${column}\` | ${type} | ${stored}${nullable ? ', may be null' : ''} | ${role} | ${sharing} | ${cell(meaning + values)} |`
  })
  return `### ${name}\n\n${doc}\n\n| column | type | DuckDB | role | sharing | meaning |\n|---|---|---|---|---|---|\n${rows.join('\n')}\n`
}

function questionSection(name: string, { doc, parameters, row }: (typeof QUERIES)[keyof typeof QUERIES]): string {
  const asked = Object.entries(parameters).map(([parameter, { type, doc: meaning, ...rest }]) => {
    const detail = 'choices' in rest ? rest.choices.join(', ') : type
    return `| \`${parameter}\` | ${detail} | ${cell(meaning)}${'default' in rest ? ` Default: ${rest.default}.` : ''} |`
  })
  const columns = Object.entries(row as Table)
    .filter(([, column]) => column.sharing !== 'withheld')
    .map(
      ([column, { type, nullable, doc: meaning }]) =>
        `| \`${column}\` | ${type}${nullable ? ', may be null' : ''} | ${cell(meaning)} |`,
    )
  return `### GET /api/v1/${name}\n\n${doc}\n\n| parameter | value | meaning |\n|---|---|---|\n${asked.join('\n')}\n\n| column | type | meaning |\n|---|---|---|\n${columns.join('\n')}\n`
}

/** The data dictionary as Markdown, made from the tables alone. */
export function dictionary(): string {
  const tools = TOOLS.map(
    ({ name, rule, chance, source }) =>
      `| ${name} | ${cell(rule)} | ${chance === null ? '–' : `2^${Math.log2(chance)}`} | ${cell(source)} |`,
  )
  const probes = UDP_PROBES.map(
    ({ name, rule, source }, index) => `| ${index + 1} | ${name} | ${cell(rule)} | ${cell(source)} |`,
  )
  const drops = Object.entries(DROP_REASONS).map(([name, doc]) => `| \`${name}\` | ${cell(doc)} |`)
  const errors = Object.entries(ERROR_CODES).map(
    ([code, { kind, status, doc }]) => `| \`${code}\` | ${kind} | ${status} | ${cell(doc)} |`,
  )
  return [
    '# Data dictionary\n\nMade by `npm run generate` from the tables in this folder; do not edit. Times are UTC, ranges are [since, until). Sharing: `public` may leave the hub, `members` is for signed-in members, `withheld` is in no answer.\n',
    '## Tables\n',
    ...Object.entries(STORED_TABLES).map(([name, { table, doc }]) => storedSection(name, table, doc)),
    '## Answers of the hub\n',
    ...Object.entries(QUERIES).map(([name, query]) => questionSection(name, query)),
    `## Tools\n\nA source is labelled with a tool when its matches cannot be chance.\n\n| tool | rule | chance per packet | source |\n|---|---|---|---|\n${tools.join('\n')}\n`,
    `## UDP probes\n\nWhat the first bytes of a UDP payload ask for; the payload itself is not kept. 0: no rule fits, or these bytes were not captured.\n\n| number | probe | rule | source |\n|---|---|---|---|\n${probes.join('\n')}\n`,
    `## Drop reasons\n\nPackets read = packets kept + the sum over these.\n\n| reason | meaning |\n|---|---|\n${drops.join('\n')}\n`,
    `## Errors\n\n| code | kind | HTTP | meaning |\n|---|---|---|---|\n${errors.join('\n')}\n`,
  ].join('\n')
}
