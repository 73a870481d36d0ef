import { html, nothing, type TemplateResult } from 'lit'
import type { Answer, QueryParameters, QueryRow } from '../../schemas/api.ts'
import { economyName, formatClock, formatCount, formatDate, formatRange } from './format.ts'
import type { PageContext } from './page-context.ts'
import type { TimeRange } from './range.ts'
import { filterLink } from './rank-tables.ts'
import { STRINGS } from './strings.ts'
import { countCell, downloads, head, measuredDetails, rateCell, scrollBox, shareCell } from './table-parts.ts'

/** Below it a sensor has gaps worth naming; cuts between files cost a few seconds a day. */
const SENSOR_FULL_MIN = 0.99

type SensorState = 'full' | 'part' | 'none' | 'outside'

/** How a sensor listened in a range; `outside` when nothing of it has passed since the sensor began. */
export function sensorState(
  { coverage, recording_since }: Pick<QueryRow<'sensors'>, 'coverage' | 'recording_since'>,
  range: TimeRange,
  now: number,
): SensorState {
  if (Math.max(range.since, Date.parse(recording_since) / 1000) >= Math.min(range.until, now)) return 'outside'
  if (coverage >= SENSOR_FULL_MIN) return 'full'
  return coverage > 0 ? 'part' : 'none'
}

const COLUMNS = [
  'sensor',
  'coverage',
  'packets_per_addr_day',
  'packet_count',
  'src_addr_unique_count',
  'economy',
  'organisation',
  'ipv4_addr_count',
  'has_ipv6',
  'last_upload_at',
] as const
const TEXT_COLUMNS: readonly string[] = ['sensor', 'economy', 'organisation', 'has_ipv6', 'last_upload_at']

/** All sensors with what they sent in the range; filters other than the range do not apply. */
export function sensorTable(
  context: PageContext,
  answer: Answer<'sensors'>,
  parameters: QueryParameters<'sensors'>,
): TemplateResult {
  const now = Date.now() / 1000
  return html`
    ${scrollBox(
      STRINGS.sensorsTitle,
      html`<table data-query="sensors">
        <caption class="visually-hidden">${STRINGS.sensorsTitle}, ${formatRange(context.range)}</caption>
        <thead><tr>${COLUMNS.map(column => head('sensors', column, TEXT_COLUMNS.includes(column) ? 'text' : 'number'))}<th scope="col">${STRINGS.columns.uploads}</th></tr></thead>
        <tbody>${answer.rows.map(row => {
          const state = sensorState(row, context.range, now)
          return html`<tr>
            <th scope="row"><a href=${filterLink(context, 'sensor', row.sensor)}>${row.sensor}</a> <span class="state ${state}">${STRINGS.sensorState[state]}</span></th>
            ${shareCell(row.coverage)}
            ${rateCell(row.packets_per_addr_day)}
            ${countCell(row.packet_count)}
            ${countCell(row.src_addr_unique_count)}
            <td>${economyName(row.economy)} <small>${row.economy}</small></td>
            <td>${row.organisation}</td>
            ${countCell(row.ipv4_addr_count)}
            <td>${row.has_ipv6 ? STRINGS.yes : STRINGS.no}</td>
            <td>${row.last_upload_at === null ? STRINGS.none : momentText(row.last_upload_at)}</td>
            <td>${uploadsText(context, row)}</td>
          </tr>`
        })}</tbody>
      </table>`,
    )}
    <div class="panel-foot">
      ${measuredDetails('sensors', COLUMNS, answer.meta, false)}
      ${downloads('sensors', parameters, STRINGS.sensorsTitle)}
    </div>`
}

/** `Sun 22 Nov 2026 10:00` of an ISO time. */
export function momentText(iso: string): string {
  const seconds = Date.parse(iso) / 1000
  return `${formatDate(seconds)} ${formatClock(seconds)}`
}

/** What became of the uploads; who may read the receipts is led to them. */
function uploadsText(context: PageContext, row: QueryRow<'sensors'>): TemplateResult | string {
  const { sensor, pending_count: pending, quarantined_count: quarantined, remark_count: remarks } = row
  const { held_count: held, withdrawn_count: withdrawn } = row
  if (pending + quarantined + held + withdrawn + remarks === 0) return STRINGS.none
  const receipts = (text: string): TemplateResult =>
    context.status.role === 'coordinator'
      ? html`<a href="/api/v1/receipts?sensor=${sensor}">${text}</a>`
      : html`${text}`
  return html`${pending > 0 ? STRINGS.pending(formatCount(pending)) : nothing}
    ${quarantined > 0 ? html`<span class="state none">${receipts(STRINGS.quarantined(formatCount(quarantined)))}</span>` : nothing}
    ${held > 0 ? html`<span class="state part">${receipts(STRINGS.held(formatCount(held)))}</span>` : nothing}
    ${withdrawn > 0 ? receipts(STRINGS.withdrawn(formatCount(withdrawn))) : nothing}
    ${remarks > 0 ? html`<span class="state part">${receipts(STRINGS.remarks(formatCount(remarks)))}</span>` : nothing}`
}
