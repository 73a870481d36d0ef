import type { QueryRow } from '../../schemas/api.ts'
import { DAY_SECONDS, formatDay, formatTime, parseTime } from '../../schemas/time.ts'
import { escapeHtml, htmlTable, showCount, showRate, showShare } from './html.ts'
import { type Line, lineChart } from './line-chart.ts'
import { type DailyFigure, serviceLabel, type WeeklyFigures } from './weekly-figures.ts'

/** What the report says about where it comes from. */
export interface ReportSource {
  readonly geography: string
  readonly version: string
  /** Set when the region is simulated. */
  readonly demo: boolean
}

const STYLE = `
:root { color-scheme: light; font: 15px/1.5 system-ui, sans-serif; color: #1b2733; background: #fff; }
body { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; margin: 0; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .4rem; }
.mark { display: inline-block; padding: .1rem .5rem; background: #ffc000; color: #000; font-weight: 700; }
.demo, .unfinished { border: 2px solid #b3261e; color: #b3261e; padding: .4rem .7rem; font-weight: 700; }
.unfinished { border-color: #55616d; color: inherit; }
table { border-collapse: collapse; width: 100%; margin: .6rem 0 1rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #d5dbe1; vertical-align: top; }
thead th { border-bottom: 2px solid #55616d; } .number { text-align: right; }
figure { margin: .8rem 0; } svg { width: 100%; height: auto; } figcaption, .note { color: #4a5763; font-size: .9rem; }
.grid { stroke: #d5dbe1; } .line { fill: none; stroke-width: 2; } .tick, .key { font: 12px system-ui, sans-serif; fill: #33414e; }
@page { margin: 15mm; } @media print { body { padding: 0; max-width: none; } h2 { break-after: avoid; } table, figure { break-inside: avoid; } }
`

const regionNames = new Intl.DisplayNames('en', { type: 'region' })

/** `Japan (JP)`; the unknown economy has no code to show. */
function economyLabel(code: string): string {
  return code === 'ZZ' ? 'Unknown' : `${regionNames.of(code) ?? code} (${code})`
}

function previous(rank: number | null): string {
  return rank === null ? 'new' : String(rank)
}

function lines(figures: readonly DailyFigure[], label: (of: string) => string): Line[] {
  return [...new Set(figures.map(figure => figure.of))].map(of => ({
    label: label(of),
    values: figures.filter(figure => figure.of === of).map(figure => figure.packets_per_addr_day),
  }))
}

function dailyTable(
  caption: string,
  days: readonly string[],
  figures: readonly DailyFigure[],
  label: (of: string) => string,
): string {
  const rows = lines(figures, label).map(line => [line.label, ...line.values.map(showRate)])
  return htmlTable(caption, [{ title: '' }, ...days.map(day => ({ title: day.slice(5), numeric: true }))], rows)
}

/** The weekly report as one HTML document without scripts and without anything to fetch. */
export function weeklyHtml(figures: WeeklyFigures, source: ReportSource): string {
  const days = Array.from({ length: 7 }, (_, index) => formatDay(figures.since + index * DAY_SECONDS))
  const compared = figures.services.meta.previous_since !== null
  const leftOut = figures.services.meta.sensors_left_out
  const rankColumns = [
    { title: 'Rank', numeric: true },
    { title: 'Previous', numeric: true },
  ]
  const rankOf = (row: { rank: number; previous_rank: number | null }): string[] => [
    String(row.rank),
    compared ? previous(row.previous_rank) : '–',
  ]
  const unit = 'packets per address and day, mean of the sensors'

  const parts = [
    `<h1>Weekly report ${escapeHtml(figures.week)}</h1>`,
    `<p>${days[0]} to ${days[6]}, days in UTC. <span class="mark">TLP:AMBER</span></p>`,
    figures.asOf === null
      ? ''
      : `<p class="unfinished">This week is not over: figures until ${minute(figures.asOf)}.</p>`,
    source.demo ? '<p class="demo">DEMO DATA: this region is simulated.</p>' : '',
    '<h2>Overview</h2>',
    lineChart(
      'Packets by traffic class',
      unit,
      days,
      lines(figures.classesDaily, name => name),
    ),
    `<p>${showCount(figures.services.meta.total_rows)} services were scanned from ${showCount(figures.economies.meta.total_rows)} economies. The figures below are of scan packets${leftOut.length > 0 ? `, without ${escapeHtml(leftOut.join(', '))} (they listened to less than 80 % of this week or the one before)` : ''}.</p>`,
    '<h2>Services</h2>',
    htmlTable(
      'Most scanned services by distinct sources',
      [
        ...rankColumns,
        { title: 'Service' },
        { title: 'Name' },
        { title: 'Sources', numeric: true },
        { title: 'Packets', numeric: true },
        { title: 'Per address and day', numeric: true },
        { title: 'Mirai-like', numeric: true },
      ],
      figures.services.rows.map(row => [
        ...rankOf(row),
        serviceLabel(row),
        row.service ?? '',
        showCount(row.src_addr_unique_count),
        showCount(row.packet_count),
        showRate(row.packets_per_addr_day),
        showShare(row.mirai_share),
      ]),
    ),
    '<p class="note">Names are those registered with IANA and do not mean that the protocol was spoken.</p>',
    lineChart(
      'Daily packets of these services',
      unit,
      days,
      lines(figures.servicesDaily, name => name),
    ),
    dailyTable('Packets per address and day', days, figures.servicesDaily, name => name),
    '<h2>Source regions</h2>',
    htmlTable(
      'Economies with most sources',
      [
        ...rankColumns,
        { title: 'Economy' },
        { title: 'Sources', numeric: true },
        { title: 'Packets', numeric: true },
        { title: 'Per address and day', numeric: true },
      ],
      figures.economies.rows.map(row => [
        ...rankOf(row),
        economyLabel(row.economy),
        showCount(row.src_addr_unique_count),
        showCount(row.packet_count),
        showRate(row.packets_per_addr_day),
      ]),
    ),
    `<p class="note">Economy of a source address by ${escapeHtml(source.geography)}. A packet proves nothing about who sent it.</p>`,
    lineChart('Daily packets from these economies', unit, days, lines(figures.economiesDaily, economyLabel)),
    dailyTable('Packets per address and day', days, figures.economiesDaily, economyLabel),
    '<h2>Coverage</h2>',
    htmlTable(
      'Part of the time that each sensor listened',
      [
        { title: 'Sensor' },
        { title: 'Economy' },
        { title: 'Week', numeric: true },
        ...days.map(day => ({ title: day.slice(5), numeric: true })),
      ],
      figures.sensors.rows.map(row => [
        row.sensor,
        row.economy,
        showShare(row.coverage),
        ...days.map(day => dayCoverage(figures, row, day)),
      ]),
    ),
    '<p class="note">A day without coverage is an outage and says nothing about traffic; a dash is a day that had not come or on which the sensor had not begun; rates use only the time listened. Definitions stand in dictionary.md, all numbers in the CSV files beside this page.</p>',
    `<p class="note">Made by Hirundo ${escapeHtml(source.version)}.</p>`,
  ]
  return `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Weekly report ${escapeHtml(figures.week)}</title><style>${STYLE}</style></head>\n<body>\n${parts.filter(part => part !== '').join('\n')}\n</body></html>\n`
}

/** `2026-11-22 10:00 UTC`. */
function minute(seconds: number): string {
  return `${formatTime(seconds).slice(0, 16).replace('T', ' ')} UTC`
}

/** A dash for a day that had not come, or that ended before the sensor began: neither is an outage. */
function dayCoverage({ coverage, asOf }: WeeklyFigures, sensor: QueryRow<'sensors'>, day: string): string {
  const row = coverage.rows.find(
    ({ sensor: name, bucket_start }) => name === sensor.sensor && bucket_start.startsWith(day),
  )
  if (row) return showShare(row.coverage)
  const start = parseTime(day)
  const isAhead = asOf !== null && start >= asOf
  return isAhead || start + DAY_SECONDS <= parseTime(sensor.recording_since) ? '–' : showShare(0)
}
