import { html, nothing, type TemplateResult } from 'lit'
import type { ReceiptState } from '../../schemas/catalog.ts'
import { SENSOR_HEALTH, type SensorHealth } from '../../schemas/sensor-health.ts'
import { cellLabel } from './card-cell.ts'
import { definitionButton } from './definition.ts'
import { roughDuration } from './duration-text.ts'
import { economyName, formatCount } from './format.ts'
import { momentText } from './sensor-table.ts'
import { STRINGS } from './strings.ts'
import { number, scrollBox, shareCell } from './table-parts.ts'
import { UPLOAD_STRINGS } from './upload-strings.ts'

/** A clock this far off is pointed out, seconds; the hub refuses signatures from 300 on. */
const CLOCK_OFF_SECONDS = 60

const COLUMNS = [
  'sensor',
  'last_upload_at',
  'usual_interval_seconds',
  'coverage_7d',
  'missing_sequence_count',
  'late_upload_count',
  'clock_skew_seconds',
  'held_count',
  'quarantined_count',
  'withdrawn_count',
] as const
type HealthColumn = (typeof COLUMNS)[number]
const TEXT_COLUMNS: readonly HealthColumn[] = ['sensor', 'last_upload_at']

/**
 * How each sensor is doing.
 * @param receiptsLink address of the uploads of a sensor in a state; null where the reader may not see them
 */
export function sensorHealthTable(
  sensors: readonly SensorHealth[],
  receiptsLink: ((sensor: string, state: ReceiptState) => string) | null,
): TemplateResult {
  const { healthColumns, healthTitle } = UPLOAD_STRINGS
  const label = (column: HealthColumn): TemplateResult => cellLabel(healthColumns[column], SENSOR_HEALTH[column].doc)
  const uploads = (count: number, sensor: string, state: ReceiptState): TemplateResult => {
    const value = number(count, formatCount)
    return count === 0 || receiptsLink === null ? value : html`<a href=${receiptsLink(sensor, state)}>${value}</a>`
  }
  const waiting = (count: number, sensor: string, state: ReceiptState): TemplateResult => {
    const value = uploads(count, sensor, state)
    return count === 0 ? value : html`<b class="state part">${value}</b>`
  }
  return scrollBox(
    healthTitle,
    html`<table class="health cards">
      <caption class="visually-hidden">${healthTitle}</caption>
      <thead><tr>${COLUMNS.map(
        column =>
          html`<th scope="col" class=${TEXT_COLUMNS.includes(column) ? 'text' : 'number'}>${definitionButton(healthColumns[column], SENSOR_HEALTH[column].doc)}</th>`,
      )}</tr></thead>
      <tbody>${sensors.map(
        row => html`<tr data-sensor=${row.sensor}>
          <th scope="row">${row.sensor} ${stateOf(row)}<br /><small>${economyName(row.economy)}</small></th>
          <td>${label('last_upload_at')}${row.last_upload_at === null ? STRINGS.none : momentText(row.last_upload_at)}</td>
          <td class="number">${label('usual_interval_seconds')}${number(row.usual_interval_seconds, roughDuration)}</td>
          ${shareCell(row.coverage_7d, label('coverage_7d'))}
          <td class="number">${label('missing_sequence_count')}${missing(row)}</td>
          <td class="number">${label('late_upload_count')}${number(row.late_upload_count, formatCount)}</td>
          <td class="number">${label('clock_skew_seconds')}${clock(row.clock_skew_seconds)}</td>
          <td class="number">${label('held_count')}${waiting(row.held_count, row.sensor, 'held')}</td>
          <td class="number">${label('quarantined_count')}${waiting(row.quarantined_count, row.sensor, 'quarantined')}</td>
          <td class="number">${label('withdrawn_count')}${uploads(row.withdrawn_count, row.sensor, 'withdrawn')}</td>
        </tr>`,
      )}</tbody>
    </table>`,
  )
}

/** Silent, or nothing yet; a sensor that sends as it usually does needs no word. */
function stateOf({ silent_since, last_upload_at }: SensorHealth): TemplateResult | typeof nothing {
  if (silent_since !== null)
    return html`<span class="state none">${definitionButton(UPLOAD_STRINGS.silent, SENSOR_HEALTH.silent_since.doc)}</span>`
  return last_upload_at === null ? html`<span class="state part">${UPLOAD_STRINGS.nothingYet}</span>` : nothing
}

/** How many never came, and the latest of them with the reason, as far as it is known. */
function missing({ missing_sequence_count: count, missing_sequences: ranges }: SensorHealth): TemplateResult {
  if (count === 0) return number(count, formatCount)
  return html`<b class="state part">${number(count, formatCount)}</b>
    <ul class="missing">${ranges.map(({ first_sequence: first, last_sequence: last, reason }) => {
      const numbers = first === last ? String(first) : `${first}–${last}`
      return html`<li><small>${UPLOAD_STRINGS.missing(numbers, UPLOAD_STRINGS.gapReasons[reason] ?? reason)}</small></li>`
    })}</ul>`
}

/** `+3 s` where the sensor's clock is ahead. */
function clock(skew: number | null): TemplateResult {
  const text = number(skew, value => {
    const size = Math.abs(value)
    if (size < 0.5) return UPLOAD_STRINGS.seconds(0)
    return `${value > 0 ? '+' : '−'}${roughDuration(size)}`
  })
  return skew !== null && Math.abs(skew) >= CLOCK_OFF_SECONDS ? html`<b class="state part">${text}</b>` : text
}
