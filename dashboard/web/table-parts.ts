import { html, nothing, svg, type TemplateResult } from 'lit'
import type { AnswerMeta, QueryName, QueryParameters } from '../../schemas/api.ts'
import { QUERIES } from '../../schemas/api.ts'
import type { Column } from '../../schemas/column.ts'
import type { TelescopeError } from '../../schemas/errors.ts'
import { answerUrl } from './api.ts'
import { definitionButton } from './definition.ts'
import { formatCount, formatRange, formatRate, formatShare, rankChange } from './format.ts'
import { navigate, type PageContext } from './page-context.ts'
import type { Read } from './read.ts'
import type { LeftOut } from './rising.ts'
import { STRINGS } from './strings.ts'
import { FILTER_NAMES, formatView, NO_FILTERS } from './url-state.ts'
import { leftOutText } from './verdict-text.ts'

/** Pieces that all tables and panels are made of. */

type ColumnLabel = keyof typeof STRINGS.columns

/** What the data dictionary says of a column of an answer. */
export function columnDoc(query: QueryName, column: string): string {
  return (QUERIES[query].row as Readonly<Record<string, Column>>)[column]?.doc ?? ''
}

/** A column head that opens its definition. */
export function head(query: QueryName, column: ColumnLabel, kind: 'text' | 'number'): TemplateResult {
  return html`<th scope="col" class=${kind}>${definitionButton(STRINGS.columns[column], columnDoc(query, column))}</th>`
}

/** A number with its exact value in `value`, so that what is shown can be compared with the answer. */
export function number(value: number | null, format: (value: number) => string): TemplateResult {
  return value === null ? html`${STRINGS.none}` : html`<data value=${String(value)}>${format(value)}</data>`
}

export const countCell = (value: number): TemplateResult => html`<td class="number">${number(value, formatCount)}</td>`
export const rateCell = (value: number | null): TemplateResult =>
  html`<td class="number">${number(value, formatRate)}</td>`

/** A part of one, with a bar that says the same; `label` stands before it. */
export function shareCell(value: number, label: TemplateResult | typeof nothing = nothing): TemplateResult {
  return html`<td class="number share">${label}
    <svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">${svg`<rect width=${(value * 100).toFixed(1)} height="8"/>`}</svg>
    ${number(value, formatShare)}
  </td>`
}

/** How the rank moved, in words and with a sign, never by colour alone. */
export function changeCell(rank: number, previous: number | null, compared: boolean): TemplateResult {
  if (!compared) return html`<td class="change">${STRINGS.none}</td>`
  const change = rankChange(rank, previous)
  const was = previous === null ? nothing : html` <small>${STRINGS.rank.was(previous)}</small>`
  switch (change.kind) {
    case 'new':
      return html`<td class="change new">${STRINGS.rank.new}</td>`
    case 'same':
      return html`<td class="change"><span aria-hidden="true">=</span><span class="visually-hidden">${STRINGS.rank.same}</span></td>`
    default:
      return html`<td class="change ${change.kind}"><span aria-hidden="true">${change.kind === 'up' ? '▲' : '▼'}</span> <span class="visually-hidden">${STRINGS.rank[change.kind]}</span> ${change.places}${was}</td>`
  }
}

/** Links to exactly the rows that are shown. */
export function downloads<N extends QueryName>(
  query: N,
  parameters: QueryParameters<N>,
  name: string,
  label = '',
): TemplateResult {
  return html`<span class="downloads">${label}
    <a href=${answerUrl(query, parameters)} aria-label=${STRINGS.download(STRINGS.asJson, name)}>${STRINGS.asJson}</a>
    <a href=${answerUrl(query, parameters, 'csv')} aria-label=${STRINGS.download(STRINGS.asCsv, name)} download>${STRINGS.asCsv}</a>
  </span>`
}

/** What the numbers rest on, and what each column means, folded away under a table. */
export function measuredDetails(
  query: QueryName,
  columns: readonly ColumnLabel[],
  meta: AnswerMeta,
  isRanking: boolean,
): TemplateResult {
  const compared =
    meta.previous_since === null
      ? STRINGS.notCompared
      : STRINGS.comparedWith(
          formatRange({ since: Date.parse(meta.previous_since) / 1000, until: Date.parse(meta.since) / 1000 }),
        )
  return html`<details class="measured">
    <summary>${STRINGS.measured}</summary>
    <p>
      ${STRINGS.measuredSensors(meta.sensors)} ${STRINGS.measuredExposure(formatCount(meta.exposed_addr_days))}
      ${isRanking ? compared : nothing}
    </p>
    <dl>${columns.map(column => html`<dt>${STRINGS.columns[column]}</dt><dd>${columnDoc(query, column)}</dd>`)}</dl>
  </details>`
}

/** A sentence that must not be folded away: sensors left out, with what is known of them, or no comparison possible though it was wished for. */
export function comparisonNote(
  meta: AnswerMeta,
  compare: string | undefined,
  leftOut: readonly LeftOut[],
): TemplateResult | typeof nothing {
  if (meta.sensors_left_out.length > 0) {
    return html`<p class="note">${leftOutText(meta.sensors_left_out, leftOut)}</p>`
  }
  const isMissing = compare === 'previous' && meta.previous_since === null
  return isMissing ? html`<p class="note">${STRINGS.noBaseline}</p>` : nothing
}

/** Wide tables scroll inside their own box, by keyboard too. */
export function scrollBox(name: string, content: TemplateResult): TemplateResult {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${STRINGS.scrollable(name)}>${content}</div>`
}

/**
 * The state of a read around its content: a skeleton of the same height first, then the content, dimmed while a newer
 * answer is on its way; an error with its code and a way to try again.
 */
export function readState<T>(
  read: Read<T>,
  skeletonRows: number,
  content: (value: T) => TemplateResult,
): TemplateResult {
  if (read.error) return errorPanel(read.error, () => read.retry())
  if (read.value === null) return skeleton(skeletonRows)
  return html`<div class="read" aria-busy=${read.loading ? 'true' : 'false'}>${content(read.value)}</div>`
}

function skeleton(rows: number): TemplateResult {
  return html`<div class="skeleton" aria-busy="true"><span class="visually-hidden">${STRINGS.loading}</span>${Array.from({ length: rows }, () => html`<i></i>`)}</div>`
}

export function errorPanel(error: TelescopeError, retry: () => void): TemplateResult {
  return html`<div class="error" role="alert">
    <strong>${STRINGS.errorTitle}</strong>
    <p>${error.message}</p>
    <p><code>${error.code}</code> <button type="button" @click=${retry}>${STRINGS.retry}</button></p>
  </div>`
}

/** Nothing matched: what is asked for, and ways out. */
export function emptyPanel(context: PageContext): TemplateResult {
  const { view } = context
  const set = FILTER_NAMES.filter(name => view.filters[name].length > 0)
  const text = set.map(name => `${STRINGS.filterNames[name]} ${view.filters[name].join(', ')}`).join('; ')
  const clear = { ...view, filters: NO_FILTERS }
  const all = { ...view, range: 'all' as const }
  return html`<div class="empty">
    <strong>${STRINGS.empty}</strong>
    <p>${set.length > 0 ? STRINGS.emptyFilters(text) : STRINGS.emptyNoFilters}</p>
    <p class="ways">
      ${set.length > 0 ? html`<a class="button" href=${formatView(clear)}>${STRINGS.clearFilters}</a>` : nothing}
      ${view.range === 'all' ? nothing : html`<a class="button" href=${formatView(all)}>${STRINGS.emptyWiden}</a>`}
    </p>
  </div>`
}

/** A group of choices of which one holds, as radio buttons side by side. */
export function segments<T extends string>(
  name: string,
  title: string,
  choices: Readonly<Record<T, string>>,
  chosen: T,
  choose: (choice: T) => void,
): TemplateResult {
  return html`<fieldset class="segments">
    <legend class="visually-hidden">${title}</legend>
    ${(Object.keys(choices) as T[]).map(
      choice => html`<label>
        <input type="radio" name=${name} .checked=${choice === chosen} @change=${() => choose(choice)} />
        <span>${choices[choice]}</span>
      </label>`,
    )}
  </fieldset>`
}

/** Shows another view of the same page, as a choice that back undoes. */
export function changeView(context: PageContext, change: Partial<PageContext['view']>): void {
  navigate({ ...context.view, ...change })
}
