import { html, LitElement, nothing, type TemplateResult } from 'lit'
import { protocolName, protocolNumber } from '../../schemas/protocol.ts'
import { fetchAnswer } from './api.ts'
import { findEconomy } from './format.ts'
import { navigate, type PageContext, rangeParameters } from './page-context.ts'
import { parsePort } from './port-text.ts'
import { PORT_ROWS_MAX } from './rising-read.ts'
import { STRINGS } from './strings.ts'
import { type FilterName, viewOf } from './url-state.ts'

/** The box that takes a port by number or by name; a protocol or an economy becomes a filter of the overview. */
export class PortSearch extends LitElement {
  static override properties = { context: { attribute: false }, problem: { state: true } }
  /** Null until the hub has said what it has. */
  declare context: PageContext | null
  declare problem: string
  private abort: AbortController | null = null

  constructor() {
    super()
    this.context = null
    this.problem = ''
  }

  protected override createRenderRoot(): HTMLElement {
    return this
  }

  /** For the key `/`. */
  focusBox(): void {
    const box = this.querySelector('input')!
    box.focus()
    box.select()
  }

  private forget(): void {
    this.problem = ''
  }

  private async search(event: SubmitEvent): Promise<void> {
    event.preventDefault()
    const box = this.querySelector('input')!
    const text = box.value.trim()
    if (text === '' || this.context === null) return
    this.abort?.abort()
    this.abort = new AbortController()
    const { signal } = this.abort
    const { range, view } = this.context
    const asked = { ...rangeParameters(range), compare: 'none', limit: String(PORT_ROWS_MAX) }
    const protocol = /^[a-z]/i.test(text) ? protocolNumber(text.toLowerCase()) : null
    if (protocol !== null) {
      this.filter('protocol', protocolName(protocol))
      return
    }
    // What is written out needs no look-up, and works while the hub does not answer.
    const found =
      (/\d/.test(text) && /[a-z]/i.test(text) ? parsePort(text, []) : null) ??
      (await fetchAnswer('ports', asked, signal).then(
        answer => parsePort(text, answer.rows),
        () => parsePort(text, []),
      ))
    if (signal.aborted) return
    const economy = found ? null : findEconomy(text)
    if (economy !== null) {
      this.filter('economy', economy)
      return
    }
    this.problem = found ? '' : STRINGS.searchFailed(text)
    if (!found) return
    this.leaveBox()
    navigate(viewOf({ name: 'port', ...found }, view))
  }

  private leaveBox(): void {
    const box = this.querySelector('input')!
    this.problem = ''
    box.value = ''
    box.blur()
  }

  private filter(name: FilterName, value: string): void {
    this.leaveBox()
    const home = viewOf({ name: 'home' }, this.context!.view)
    navigate({ ...home, filters: { ...home.filters, [name]: [value] } })
  }

  protected override render(): TemplateResult {
    return html`<form class="search" role="search" @submit=${this.search} @input=${this.forget} @focusout=${this.forget}>
      <label class="visually-hidden" for="port-box">${STRINGS.searchLabel}</label>
      <input id="port-box" name="port" placeholder=${STRINGS.searchHint} autocomplete="off" spellcheck="false" autocapitalize="off" maxlength="40"
        aria-describedby=${this.problem ? 'port-problem' : nothing} />
      <kbd aria-hidden="true">/</kbd>
      <button class="visually-hidden-until-focus">${STRINGS.searchGo}</button>
      ${this.problem ? html`<p class="problem" id="port-problem" role="alert">${this.problem}</p>` : nothing}
    </form>`
  }
}

customElements.define('port-search', PortSearch)
