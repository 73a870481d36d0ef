import { html, nothing, type TemplateResult } from 'lit'
import type { Answer, QueryParameters, QueryRow } from '../../schemas/api.ts'
import { fetchAnswer } from './api.ts'
import { economyName, formatCount } from './format.ts'
import type { PageContext } from './page-context.ts'
import { formatPort } from './port-text.ts'
import { leftOutOf, type Periods } from './rising-read.ts'
import { STRINGS } from './strings.ts'
import {
  changeCell,
  comparisonNote,
  countCell,
  downloads,
  emptyPanel,
  head,
  measuredDetails,
  rateCell,
  scrollBox,
  shareCell,
} from './table-parts.ts'
import { type FilterName, filterValues, formatView, ROW_LIMITS, viewOf } from './url-state.ts'

/** Tables that rank: ports and economies. */

type Ranked = 'ports' | 'economies'

/** A ranking as it was asked for and answered. */
export interface Ranking<N extends Ranked> {
  readonly parameters: QueryParameters<N>
  readonly answer: Answer<N>
}

export async function fetchRanking<N extends Ranked>(
  name: N,
  parameters: QueryParameters<N>,
  signal: AbortSignal,
): Promise<Ranking<N>> {
  return { parameters, answer: await fetchAnswer(name, parameters, signal) }
}

const COLUMNS = {
  ports: [
    'rank',
    'previous_rank',
    'service_port',
    'service',
    'src_addr_unique_count',
    'packets_per_addr_day',
    'packet_count',
    'share',
    'mirai_share',
  ],
  economies: [
    'rank',
    'previous_rank',
    'economy',
    'src_addr_unique_count',
    'packets_per_addr_day',
    'packet_count',
    'share',
  ],
} as const

/** Columns whose cells hold text; all others are numbers. */
const TEXT_COLUMNS: readonly string[] = ['previous_rank', 'service_port', 'service', 'economy']

export function portsTable(context: PageContext, read: Ranking<'ports'>, period: Periods | undefined): TemplateResult {
  return rankTable(
    context,
    'ports',
    STRINGS.portsTitle,
    read,
    period,
    (row, compared) => html`
    <td class="number rank">${row.rank}</td>
    ${changeCell(row.rank, row.previous_rank, compared)}
    <th scope="row"><a href=${formatView(viewOf({ name: 'port', protocol: row.protocol, port: row.service_port }, context.view))}>${formatPort(row.protocol, row.service_port)}</a></th>
    <td class="name" title=${row.service ?? nothing}>${row.service ?? STRINGS.none}</td>
    ${countCell(row.src_addr_unique_count)}
    ${rateCell(row.packets_per_addr_day)}
    ${countCell(row.packet_count)}
    ${shareCell(row.share)}
    ${shareCell(row.mirai_share)}`,
  )
}

export function economiesTable(
  context: PageContext,
  title: string,
  read: Ranking<'economies'>,
  period: Periods | undefined,
): TemplateResult {
  return rankTable(
    context,
    'economies',
    title,
    read,
    period,
    (row, compared) => html`
    <td class="number rank">${row.rank}</td>
    ${changeCell(row.rank, row.previous_rank, compared)}
    <th scope="row">${economyLink(context, row.economy)}</th>
    ${countCell(row.src_addr_unique_count)}
    ${rateCell(row.packets_per_addr_day)}
    ${countCell(row.packet_count)}
    ${shareCell(row.share)}`,
  )
}

/** The economy's name; following it shows only its sources. */
export function economyLink(context: PageContext, economy: string): TemplateResult {
  return html`<a href=${filterLink(context, 'economy', economy)}>${economyName(economy)}</a> <small class="code">${economy}</small>`
}

/** The same page with one more value let through. */
export function filterLink(context: PageContext, name: FilterName, value: string): string {
  const { view } = context
  return formatView({ ...view, filters: { ...view.filters, [name]: filterValues([...view.filters[name], value]) } })
}

function rankTable<N extends Ranked>(
  context: PageContext,
  query: N,
  title: string,
  read: Ranking<N>,
  period: Periods | undefined,
  cells: (row: QueryRow<N>, compared: boolean) => TemplateResult,
): TemplateResult {
  const { meta, rows } = read.answer
  if (rows.length === 0)
    return html`${comparisonNote(meta, read.parameters.compare, leftOutOf(period, meta))}${emptyPanel(context)}`
  const compared = meta.previous_since !== null
  const columns = COLUMNS[query]
  return html`
    ${comparisonNote(meta, read.parameters.compare, leftOutOf(period, meta))}
    ${scrollBox(
      title,
      html`<table data-query=${query}>
        <caption class="visually-hidden">${title}</caption>
        <thead><tr>${columns.map(column => head(query, column, TEXT_COLUMNS.includes(column) ? 'text' : 'number'))}</tr></thead>
        <tbody>${rows.map(row => html`<tr>${cells(row, compared)}</tr>`)}</tbody>
      </table>`,
    )}
    <div class="panel-foot">
      ${measuredDetails(query, columns, meta, true)}
      <span class="count">${STRINGS.totalRows(formatCount(rows.length), formatCount(meta.total_rows))}</span>
      ${meta.total_rows > ROW_LIMITS[0] ? rowChoice(context) : nothing}
      ${downloads(query, read.parameters, title)}
    </div>`
}

function rowChoice(context: PageContext): TemplateResult {
  return html`<span class="row-choice">${ROW_LIMITS.map(
    rows =>
      html`<a href=${formatView({ ...context.view, rows })} aria-label=${STRINGS.moreRows(rows)} aria-current=${rows === context.view.rows ? 'true' : nothing}>${rows}</a>`,
  )}</span>`
}
