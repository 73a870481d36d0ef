import { html, LitElement, nothing, type TemplateResult } from 'lit'
import type { Answer, Status } from '../../schemas/api.ts'
import { answerUrl, fetchAnswer, fetchStatus, signOut } from './api.ts'
import './definition.ts'
import { formatCount, formatShare } from './format.ts'
import './home-page.ts'
import { swallowMark } from './mark.ts'
import { type NavigateDetail, type PageContext, rangeParameters } from './page-context.ts'
import './port-page.ts'
import type { PortSearch } from './port-search.ts'
import { formatPort } from './port-text.ts'
import './port-search.ts'
import { resolveRange } from './range.ts'
import { Read } from './read.ts'
import './sign-in-box.ts'
import { STRINGS } from './strings.ts'
import { errorPanel, segments } from './table-parts.ts'
import { applyTheme, readTheme, type Theme } from './theme.ts'
import { UPLOAD_STRINGS } from './upload-strings.ts'
import { Uploads } from './uploads.ts'
import { defaultView, formatView, type ParsedView, parseView, type View, viewOf } from './url-state.ts'
import './uploads-page.ts'
import type { ViewControls } from './view-controls.ts'
import './view-controls.ts'

/** While captures are being counted the page follows closely. */
const POLL_COUNTING_MILLISECONDS = 2000
const POLL_MILLISECONDS = 60_000
/** Nobody looks: then the page stops asking, so that it does not keep a session alive. */
const IDLE_MILLISECONDS_MAX = 15 * 60_000

/** The frame of every page: address, status, header, controls, keys. */
class HirundoApp extends LitElement {
  static override properties = {
    parsed: { state: true },
    locked: { state: true },
    theme: { state: true },
    poll: { state: true },
  }
  declare parsed: ParsedView
  /** True while the hub wants a token. */
  declare locked: boolean
  declare theme: Theme
  declare poll: number
  private readonly status = new Read<Status>(this)
  private readonly sensors = new Read<Answer<'sensors'>>(this)
  private readonly uploads = new Uploads()
  private token = ''
  private timer = 0
  private usedAt = Date.now()
  private shownPath = ''

  constructor() {
    super()
    this.theme = readTheme()
    applyTheme(this.theme, false)
    this.locked = false
    this.poll = 0
    this.parsed = this.readAddress()
  }

  protected override createRenderRoot(): HTMLElement {
    return this
  }

  override connectedCallback(): void {
    super.connectedCallback()
    window.addEventListener('popstate', () => {
      this.parsed = this.readAddress()
    })
    window.addEventListener('hirundo-navigate', event => this.go((event as CustomEvent<NavigateDetail>).detail))
    window.addEventListener('hirundo-zoom-out', () => this.zoomOut())
    window.addEventListener('hirundo-unauthenticated', () => {
      // The uploads page takes a token itself, and it may be that which the hub does not know any more.
      if (this.parsed.view.page.name === 'uploads') this.poll++
      else this.locked = true
    })
    this.uploads.addEventListener('change', () => this.requestUpdate())
    void this.uploads.queue.restore()
    document.addEventListener('click', event => this.followLink(event))
    document.addEventListener('keydown', event => this.onKey(event))
    for (const name of ['pointerdown', 'keydown', 'visibilitychange']) {
      document.addEventListener(name, () => {
        this.usedAt = Date.now()
        if (name === 'visibilitychange') this.pollSoon()
      })
    }
    this.pollSoon()
  }

  /** Reads the address bar; a token in it is taken out at once, so that it stays in no history. */
  private readAddress(): ParsedView {
    const url = new URL(location.href)
    const parsed = parseView(url)
    if (parsed.view.page.name === 'sign-in') {
      this.token = decodeURIComponent(url.hash.slice(1))
      if (this.token) history.replaceState(null, '', url.pathname)
    }
    return parsed
  }

  private pollSoon(): void {
    clearTimeout(this.timer)
    const demo = this.status.value?.demo
    const counting = (demo && demo.counted < demo.captures) || this.status.value?.data_since === null
    this.timer = window.setTimeout(
      () => {
        const watched = document.visibilityState === 'visible' && Date.now() - this.usedAt < IDLE_MILLISECONDS_MAX
        if (watched && !this.locked) this.poll++
        this.pollSoon()
      },
      counting ? POLL_COUNTING_MILLISECONDS : POLL_MILLISECONDS,
    )
  }

  private go({ view, replace = false, zoomedFrom }: NavigateDetail): void {
    const stack = (history.state as { zoom?: View['range'][] } | null)?.zoom ?? []
    const state = { zoom: zoomedFrom === undefined ? stack : [...stack, zoomedFrom] }
    if (replace) history.replaceState(state, '', formatView(view))
    else history.pushState(state, '', formatView(view))
    this.parsed = { view, ignored: [] }
  }

  /** Back to the range before the last zoom; from a link, to the usual range. */
  private zoomOut(): void {
    const { view } = this.parsed
    const stack = [...((history.state as { zoom?: View['range'][] } | null)?.zoom ?? [])]
    const range = stack.pop() ?? (view.range === '7d' ? 'all' : '7d')
    if (view.range === 'all') return
    const next = { ...view, range, bucket: 'auto' as const }
    history.pushState({ zoom: stack }, '', formatView(next))
    this.parsed = { view: next, ignored: [] }
  }

  private followLink(event: MouseEvent): void {
    for (const menu of this.querySelectorAll<HTMLDetailsElement>('details.menu[open]')) {
      if (!menu.contains(event.target as Node)) menu.open = false
    }
    const link = (event.target as Element).closest?.('a')
    if (!link || event.defaultPrevented || event.button !== 0) return
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || link.hasAttribute('download')) return
    const url = new URL(link.href)
    if (url.origin !== location.origin || url.pathname.startsWith('/api/') || url.hash !== '') return
    event.preventDefault()
    this.go({ view: parseView(url).view })
  }

  private onKey(event: KeyboardEvent): void {
    const target = event.target as HTMLElement
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest('input, textarea, select')) return
    const act: Readonly<Record<string, () => void>> = {
      '/': () => this.querySelector<PortSearch>('port-search')?.focusBox(),
      t: () => this.querySelector<ViewControls>('view-controls')?.focusTime(),
      '?': () => this.querySelector<HTMLDialogElement>('dialog.help')?.showModal(),
    }
    if (!Object.hasOwn(act, event.key)) return
    event.preventDefault()
    act[event.key]!()
  }

  private get isSigningIn(): boolean {
    if (this.parsed.view.page.name === 'uploads') return false
    return this.locked || this.parsed.view.page.name === 'sign-in' || this.status.value?.role === 'anonymous'
  }

  private get revision(): number {
    return this.status.value?.uploads.counted ?? 0
  }

  private context(status: Status): PageContext | null {
    if (status.data_since === null || status.data_until === null) return null
    const data = { since: Date.parse(status.data_since) / 1000, until: Date.parse(status.data_until) / 1000 }
    const { view } = this.parsed
    const range = resolveRange(view.range, data)
    return { view, range, data, status, sensors: this.sensors.value?.rows ?? [], revision: this.revision }
  }

  protected override willUpdate(): void {
    this.status.run('status', this.poll, signal => fetchStatus(signal))
    const isUploads = this.parsed.view.page.name === 'uploads'
    const context = this.status.value && !this.isSigningIn ? this.context(this.status.value) : null
    // What was left unfinished goes on, whichever page is looked at.
    if (this.status.value && this.uploads.queue.items.length > 0) this.uploads.sender.useSession(this.status.value)
    if (context && !isUploads) {
      const parameters = rangeParameters(context.range)
      this.sensors.run(answerUrl('sensors', parameters), context.revision, signal =>
        fetchAnswer('sensors', parameters, signal),
      )
    } else if (this.status.value && !this.isSigningIn && !isUploads) {
      // No data yet; who is registered needs no range.
      this.sensors.run('sensors', this.poll, signal => fetchAnswer('sensors', {}, signal))
    }
    document.title = `${this.pageTitle} · ${STRINGS.name}`
  }

  private get pageTitle(): string {
    const { page } = this.parsed.view
    if (this.isSigningIn) return STRINGS.signInTitle
    if (page.name === 'unknown') return STRINGS.notFoundTitle
    if (page.name === 'uploads') return UPLOAD_STRINGS.title
    return page.name === 'port' ? formatPort(page.protocol, page.port) : STRINGS.homeTitle
  }

  protected override updated(): void {
    const path = location.pathname
    if (this.shownPath !== '' && path !== this.shownPath) {
      window.scrollTo(0, 0)
      void customElements
        .whenDefined('home-page')
        .then(() => this.querySelector<HTMLElement>('h1')?.focus({ preventScroll: true }))
    }
    this.shownPath = path
  }

  private signedIn(): void {
    this.token = ''
    this.locked = false
    this.poll++
    if (this.parsed.view.page.name === 'sign-in') this.go({ view: defaultView({ name: 'home' }), replace: true })
    this.status.retry()
    this.sensors.retry()
  }

  private async leave(): Promise<void> {
    this.uploads.sender.forgetToken()
    await signOut(new AbortController().signal).catch(() => undefined)
    location.assign('/')
  }

  protected override render(): TemplateResult {
    const status = this.status.value
    const context = status && !this.isSigningIn ? this.context(status) : null
    return html`
      <a class="skip" href="#main" @click=${this.skip}>${STRINGS.skip}</a>
      <header class="top">
        <a class="brand" href=${formatView(viewOf({ name: 'home' }, this.parsed.view))}>${swallowMark()}<span>${STRINGS.name}</span><small>${STRINGS.tagline}</small></a>
        ${this.navigation()}
        <div class="top-tools">
          ${this.isSigningIn ? nothing : html`<port-search .context=${context}></port-search>`}
          ${segments('theme', STRINGS.theme, STRINGS.themes, this.theme, theme => {
            this.theme = theme
            applyTheme(theme, true)
          })}
          <button type="button" class="icon" aria-label=${STRINGS.help} title=${STRINGS.help} @click=${() => this.querySelector<HTMLDialogElement>('dialog.help')!.showModal()}>?</button>
        </div>
      </header>
      ${status?.demo ? demoBanner(status.demo) : nothing}
      ${context && context.view.page.name !== 'unknown' && context.view.page.name !== 'uploads' ? html`<view-controls .context=${context}></view-controls>` : nothing}
      <main id="main" tabindex="-1">
        ${this.parsed.ignored.length > 0 ? html`<p class="note ignored" role="status">${STRINGS.ignored(this.parsed.ignored)}</p>` : nothing}
        ${this.body(context)}
      </main>
      ${status || this.status.error ? this.footer(status) : nothing}
      <definition-popover></definition-popover>
      ${helpDialog()}`
  }

  /** The pages that are reached from everywhere; how far uploads have come shows wherever one is. */
  private navigation(): TemplateResult {
    const { view } = this.parsed
    const { share } = this.uploads
    const link = (page: 'home' | 'uploads', label: string): TemplateResult =>
      html`<a href=${formatView(viewOf({ name: page }, view))} aria-current=${view.page.name === page ? 'page' : nothing}>${label}</a>`
    return html`<nav class="pages" aria-label=${STRINGS.pages}>
      ${link('home', STRINGS.overview)}
      ${link('uploads', share === null ? STRINGS.uploads : STRINGS.uploadsBusy(`${Math.floor(share * 100)} %`))}
    </nav>`
  }

  private body(context: PageContext | null): TemplateResult {
    const { page } = this.parsed.view
    const role = this.status.value?.role
    const canRead = !this.locked && (role === 'analyst' || role === 'coordinator')
    if (this.isSigningIn) {
      return html`<sign-in-box .token=${this.token} .open=${canRead} @signed-in=${this.signedIn}></sign-in-box>`
    }
    if (page.name === 'unknown')
      return html`<h1 tabindex="-1">${STRINGS.notFoundTitle}</h1><p>${STRINGS.notFound(page.path)}</p>`
    if (this.status.error && !this.status.value) return errorPanel(this.status.error, () => this.status.retry())
    // Nothing yet that would have to move when banner and controls come.
    if (!this.status.value) return html`<p class="visually-hidden" role="status">${STRINGS.loading}</p>`
    if (page.name === 'uploads') {
      return html`<uploads-page .view=${this.parsed.view} .status=${this.status.value} .uploads=${this.uploads}></uploads-page>`
    }
    if (!context) return noDataPanel(this.sensors.value?.rows[0]?.sensor)
    if (page.name === 'port') return html`<port-page .context=${context}></port-page>`
    return html`<home-page .context=${context} .sensors=${this.sensors}></home-page>`
  }

  private skip(event: MouseEvent): void {
    event.preventDefault()
    const main = this.querySelector<HTMLElement>('main')!
    main.focus()
    main.scrollIntoView()
  }

  private footer(status: Status | null): TemplateResult {
    return html`<footer>
      <p>${STRINGS.footTime} ${STRINGS.footService} ${status ? STRINGS.footEconomy(status.geography) : nothing}</p>
      ${status ? html`<p>${STRINGS.footVersion(status.version)} · <a href="/api/v1/openapi.json">API</a>${status.role === 'anonymous' || status.demo ? nothing : html` · <button type="button" class="quiet-button" @click=${this.leave}>${STRINGS.signOut}</button>`}</p>` : nothing}
    </footer>`
  }
}

/** What to do next: register a sensor, or send the first capture of the one that is. */
function noDataPanel(sensor: string | undefined): TemplateResult {
  const next =
    sensor === undefined
      ? html`<p>${STRINGS.noData}</p>`
      : html`<p>${STRINGS.noDataUpload(sensor)}</p>
          <pre class="scroll" tabindex="0"><code>${STRINGS.uploadLine(location.origin)}</code></pre>
          <p>${STRINGS.noDataToken(sensor)} <a href="/uploads">${STRINGS.noDataPage}</a></p>`
  return html`<section class="panel"><h1 tabindex="-1">${STRINGS.noDataTitle}</h1>${next}</section>`
}

function demoBanner(demo: NonNullable<Status['demo']>): TemplateResult {
  const counting = demo.counted < demo.captures
  const progress = STRINGS.demoProgress(formatCount(demo.counted), formatCount(demo.captures))
  return html`<section class="demo" aria-label=${STRINGS.demo}>
    <strong>${STRINGS.demo}</strong>
    <span>${STRINGS.demoScale(formatShare(demo.scale))}</span>
    ${counting ? html`<label>${progress} <progress max=${demo.captures} value=${demo.counted}></progress></label>` : nothing}
  </section>`
}

function helpDialog(): TemplateResult {
  return html`<dialog class="help" aria-labelledby="help-title">
    <h2 id="help-title">${STRINGS.helpTitle}</h2>
    <table>
      <caption class="visually-hidden">${STRINGS.helpTitle}</caption>
      <tbody>${STRINGS.helpKeys.map(([key, what]) => html`<tr><th scope="row"><kbd>${key}</kbd></th><td>${what}</td></tr>`)}</tbody>
    </table>
    <form method="dialog"><button>${STRINGS.close}</button></form>
  </dialog>`
}

customElements.define('hirundo-app', HirundoApp)
