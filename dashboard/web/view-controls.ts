import { html, LitElement, nothing, type TemplateResult } from 'lit'
import type { Answer } from '../../schemas/api.ts'
import { TRAFFIC_CLASSES } from '../../schemas/protocol.ts'
import { DAY_SECONDS, formatDay, parseTime } from '../../schemas/time.ts'
import { answerUrl, fetchAnswer } from './api.ts'
import { economyName, formatRange } from './format.ts'
import { navigate, type PageContext, rangeParameters } from './page-context.ts'
import { PRESETS, type Preset, shiftRange } from './range.ts'
import { Read } from './read.ts'
import { STRINGS } from './strings.ts'
import { FILTER_NAMES, type FilterName, filterValues, formatView, NO_FILTERS } from './url-state.ts'

/** Protocols that scanners use; others are reached through the page of a port. */
const PROTOCOL_CHOICES = ['tcp', 'udp', 'icmp', 'icmpv6']
/** Economies offered by name; there are 249 codes. */
const ECONOMY_ROWS_MAX = 300

/** Time range and filters: each choice is another address. */
export class ViewControls extends LitElement {
  static override properties = {
    context: { attribute: false },
    problem: { state: true },
    economyWanted: { state: true },
  }
  declare context: PageContext
  declare problem: { at: 'dates' | 'economy'; text: string } | null
  declare economyWanted: boolean
  private readonly economies = new Read<Answer<'economies'>>(this)

  constructor() {
    super()
    this.problem = null
    this.economyWanted = false
    this.addEventListener('keydown', event => this.closeOnEscape(event))
    this.addEventListener('focusout', event => this.closeWhenLeft(event))
  }

  protected override createRenderRoot(): HTMLElement {
    return this
  }

  /** For the key `t`. */
  focusTime(): void {
    this.querySelector<HTMLElement>('.presets [aria-current]')?.focus()
    if (!this.contains(document.activeElement)) this.querySelector<HTMLElement>('.presets a')?.focus()
  }

  protected override willUpdate(): void {
    if (!this.economyWanted) return
    const parameters = { ...rangeParameters(this.context.range), compare: 'none', limit: String(ECONOMY_ROWS_MAX) }
    this.economies.run(answerUrl('economies', parameters), this.context.revision, signal =>
      fetchAnswer('economies', parameters, signal),
    )
  }

  private closeOnEscape(event: KeyboardEvent): void {
    const menu = (event.target as Element).closest<HTMLDetailsElement>('details.menu[open]')
    if (event.key !== 'Escape' || !menu) return
    event.stopPropagation()
    menu.open = false
    menu.querySelector('summary')?.focus()
  }

  private closeWhenLeft(event: FocusEvent): void {
    const next = event.relatedTarget as Node | null
    for (const menu of this.querySelectorAll<HTMLDetailsElement>('details.menu[open]')) {
      // Without a next element the pointer went down on nothing focusable; the click handler of the app closes then.
      if (next && !menu.contains(next)) menu.open = false
    }
  }

  private setFilter(name: FilterName, values: Iterable<string>): void {
    const { view } = this.context
    navigate({ ...view, filters: { ...view.filters, [name]: filterValues(values) } })
  }

  private toggle(name: FilterName, value: string, on: boolean): void {
    const values = new Set(this.context.view.filters[name])
    if (on) values.add(value)
    else values.delete(value)
    this.setFilter(name, values)
  }

  private applyDates(event: SubmitEvent): void {
    event.preventDefault()
    const form = new FormData(event.target as HTMLFormElement)
    const [from, to] = [String(form.get('from')), String(form.get('to'))]
    if (from === '' || to === '' || from > to) {
      this.problem = { at: 'dates', text: STRINGS.datesWrong }
      return
    }
    this.problem = null
    ;(event.target as Element).closest('details')!.open = false
    navigate({ ...this.context.view, range: { since: parseTime(from), until: parseTime(to) + DAY_SECONDS } })
  }

  private addEconomy(event: SubmitEvent): void {
    event.preventDefault()
    const input = (event.target as HTMLFormElement).elements.namedItem('economy') as HTMLInputElement
    const text = input.value.trim().toLowerCase()
    const codes = this.economies.value?.rows.map(row => row.economy) ?? []
    const starting = codes.filter(code => economyName(code).toLowerCase().startsWith(text))
    const found =
      codes.find(code => code.toLowerCase() === text || economyName(code).toLowerCase() === text) ??
      (starting.length === 1 ? starting[0] : undefined)
    if (found === undefined) {
      this.problem = { at: 'economy', text: STRINGS.economyWrong(input.value.trim()) }
      return
    }
    this.problem = null
    input.value = ''
    this.setFilter('economy', [...this.context.view.filters.economy, found])
  }

  protected override render(): TemplateResult {
    const { context } = this
    const { view } = context
    const set = FILTER_NAMES.flatMap(name => view.filters[name].map(value => ({ name, value })))
    return html`
      <section class="controls" aria-label="${STRINGS.timeTitle}, ${STRINGS.filtersTitle}">
        <div class="time" role="group" aria-label=${STRINGS.timeTitle}>
          ${this.arrow(-1)}
          <nav class="presets" aria-label=${STRINGS.timeTitle}>
            ${(Object.keys(PRESETS) as Preset[]).map(
              preset =>
                html`<a href=${formatView({ ...view, range: preset })} title=${STRINGS.presets[preset]} aria-current=${view.range === preset ? 'true' : nothing}>${STRINGS.presetShort[preset]}</a>`,
            )}
          </nav>
          ${this.arrow(1)}
          ${this.dates()}
        </div>
        <div class="filters" role="group" aria-label=${STRINGS.filtersTitle}>
          ${this.checks('class', TRAFFIC_CLASSES, value => STRINGS.classNames[value] ?? value)}
          ${view.page.name === 'port' ? nothing : this.checks('protocol', filterValues([...PROTOCOL_CHOICES, ...view.filters.protocol]), value => value)}
          ${this.checks('sensor', filterValues([...context.sensors.map(row => row.sensor), ...view.filters.sensor]), value => value)}
          ${this.economyMenu()}
        </div>
        ${
          set.length === 0
            ? nothing
            : html`<ul class="chips" aria-label=${STRINGS.filtersTitle}>
                ${set.map(({ name, value }) => this.chip(name, value))}
                <li><a class="quiet-link" href=${formatView({ ...view, filters: NO_FILTERS })}>${STRINGS.clearFilters}</a></li>
              </ul>`
        }
      </section>`
  }

  private arrow(direction: -1 | 1): TemplateResult {
    const { view, range, data } = this.context
    const moved = shiftRange(range, data, direction)
    const label = direction < 0 ? STRINGS.earlier : STRINGS.later
    return html`<button type="button" class="arrow" aria-label=${label} title=${label} ?disabled=${moved === null}
      @click=${() => moved && navigate({ ...view, range: moved })}>${direction < 0 ? '‹' : '›'}</button>`
  }

  private dates(): TemplateResult {
    const { range, view } = this.context
    const last = formatDay(range.until - 1)
    return html`<details class="menu dates">
      <summary aria-label="${STRINGS.dates}: ${formatRange(range)} ${STRINGS.utc}"><span class="dates-text">${formatRange(range)} ${STRINGS.utc}</span></summary>
      <form class="menu-body" @submit=${this.applyDates}>
        <label>${STRINGS.dateFrom} <input type="date" name="from" required .value=${formatDay(range.since)} /></label>
        <label>${STRINGS.dateTo} <input type="date" name="to" required .value=${last} /></label>
        ${this.problemText('dates')}
        <button>${STRINGS.apply}</button>
        ${typeof view.range === 'string' ? nothing : html`<button type="button" class="quiet-button" @click=${() => window.dispatchEvent(new Event('hirundo-zoom-out'))}>${STRINGS.zoomOut}</button>`}
        <label class="check"><input type="checkbox" .checked=${view.compare === 'previous'}
          @change=${(event: Event) => navigate({ ...view, compare: (event.target as HTMLInputElement).checked ? 'previous' : 'none' })} /> ${STRINGS.compare}</label>
      </form>
    </details>`
  }

  private problemText(at: 'dates' | 'economy'): TemplateResult | typeof nothing {
    return this.problem?.at === at ? html`<p class="problem" role="alert">${this.problem.text}</p>` : nothing
  }

  private summary(name: FilterName): TemplateResult {
    const values = this.context.view.filters[name]
    const text =
      values.length === 0 ? STRINGS.filterAll : values.length <= 2 ? values.join(', ') : String(values.length)
    return html`<summary>${STRINGS.filterNames[name]} <b class=${values.length === 0 ? 'quiet' : 'set'}>${text}</b></summary>`
  }

  private checks(name: FilterName, choices: readonly string[], label: (value: string) => string): TemplateResult {
    const values = this.context.view.filters[name]
    return html`<details class="menu">
      ${this.summary(name)}
      <fieldset class="menu-body">
        <legend class="visually-hidden">${STRINGS.filterNames[name]}</legend>
        ${choices.map(
          value => html`<label class="check"><input type="checkbox" .checked=${values.includes(value)}
            @change=${(event: Event) => this.toggle(name, value, (event.target as HTMLInputElement).checked)} /> ${label(value)}</label>`,
        )}
      </fieldset>
    </details>`
  }

  private economyMenu(): TemplateResult {
    const rows = this.economies.value?.rows ?? []
    return html`<details class="menu" @toggle=${() => {
      this.economyWanted = true
    }}>
      ${this.summary('economy')}
      <form class="menu-body" @submit=${this.addEconomy}>
        <label>${STRINGS.economyCode} <input name="economy" list="economy-list" autocomplete="off" required /></label>
        <datalist id="economy-list">${rows.map(row => html`<option value=${economyName(row.economy)}>${row.economy}</option>`)}</datalist>
        ${this.problemText('economy')}
        <button>${STRINGS.economyAdd}</button>
      </form>
    </details>`
  }

  private chip(name: FilterName, value: string): TemplateResult {
    const text = name === 'economy' ? economyName(value) : value
    return html`<li class="chip"><span class="quiet">${STRINGS.filterNames[name]}</span> ${text}
      <button type="button" aria-label=${STRINGS.removeFilter(STRINGS.filterNames[name], text)} @click=${() => this.toggle(name, value, false)}>×</button></li>`
  }
}

customElements.define('view-controls', ViewControls)
