import { createHash } from 'node:crypto'
import { QUERIES } from '../../schemas/api.ts'
import type { Table } from '../../schemas/column.ts'
import { dictionary } from '../../schemas/dictionary.ts'
import { SCHEMA_VERSION } from '../../schemas/flow.ts'
import { formatTime } from '../../schemas/time.ts'
import { tableCsv } from '../export-rows.ts'
import { DAILY_FIGURE, type WeeklyFigures } from './weekly-figures.ts'
import { type ReportSource, weeklyHtml } from './weekly-html.ts'

/** Raised when a file of the bundle changes its meaning or leaves. */
const BUNDLE_VERSION = 1

/**
 * The files of a weekly bundle by name. Nothing in them depends on when or where they were made: the same figures
 * give the same bytes. The manifest of a week that is not over says `complete: false` and up to when its figures go.
 */
export function weeklyBundle(figures: WeeklyFigures, source: ReportSource): ReadonlyMap<string, string> {
  const files = new Map<string, string>([
    ['report.html', weeklyHtml(figures, source)],
    ['services.csv', tableCsv(QUERIES.ports.row, figures.services.rows)],
    ['services-daily.csv', tableCsv(DAILY_FIGURE, figures.servicesDaily)],
    ['economies.csv', tableCsv(QUERIES.economies.row, figures.economies.rows)],
    ['economies-daily.csv', tableCsv(DAILY_FIGURE, figures.economiesDaily)],
    ['classes-daily.csv', tableCsv(DAILY_FIGURE, figures.classesDaily)],
    ['sensors.csv', tableCsv(QUERIES.sensors.row, figures.sensors.rows)],
    ['coverage.csv', tableCsv(QUERIES.coverage.row, figures.coverage.rows)],
    ['dictionary.md', `${dictionary()}\n${dailyDictionary(DAILY_FIGURE)}`],
  ])
  files.set('manifest.json', `${JSON.stringify(manifest(figures, source, files), null, 2)}\n`)
  return files
}

function manifest(figures: WeeklyFigures, source: ReportSource, files: ReadonlyMap<string, string>): object {
  const { meta } = figures.services
  return {
    bundle_version: BUNDLE_VERSION,
    schema_version: SCHEMA_VERSION,
    software: `hirundo ${source.version}`,
    tlp: 'AMBER',
    demo: source.demo,
    week: figures.week,
    since: formatTime(figures.since),
    until: formatTime(figures.until),
    complete: figures.asOf === null,
    figures_until: formatTime(figures.asOf ?? figures.until),
    compared_since: meta.previous_since,
    sensors: meta.sensors,
    sensors_left_out: meta.sensors_left_out,
    exposed_addr_days: meta.exposed_addr_days,
    coverage: Object.fromEntries(figures.sensors.rows.map(row => [row.sensor, row.coverage])),
    geography: source.geography,
    files: Object.fromEntries(
      [...files].map(([name, text]) => [
        name,
        { sha256: createHash('sha256').update(text).digest('hex'), bytes: Buffer.byteLength(text) },
      ]),
    ),
  }
}

function dailyDictionary(table: Table): string {
  const rows = Object.entries(table).map(([column, { doc }]) => `| \`${column}\` | ${doc} |`)
  return `## Daily files of the bundle\n\n| column | meaning |\n|---|---|\n${rows.join('\n')}\n`
}
