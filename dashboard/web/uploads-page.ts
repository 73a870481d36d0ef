import { html, LitElement, nothing, type PropertyValues, type TemplateResult } from 'lit'
import type { Status } from '../../schemas/api.ts'
import { CAPTURE_BYTES_MAX } from '../../schemas/batch.ts'
import { RECEIPT_STATES, type Receipt, type ReceiptState } from '../../schemas/catalog.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import type { SensorHealth } from '../../schemas/sensor-health.ts'
import { type ChosenFile, droppedFiles, hasHandlePicker, pickFiles } from './file-access.ts'
import { formatBytes, formatCount } from './format.ts'
import { navigate } from './page-context.ts'
import { Read } from './read.ts'
import {
  actOnReceipt,
  fetchReceipts,
  RECEIPTS_SHOWN_MAX,
  type ReceiptAction,
  type ReceiptFilter,
  receiptsUrl,
} from './receipt-api.ts'
import { receiptTable } from './receipt-table.ts'
import { fetchSensorHealth } from './sensor-health-read.ts'
import { sensorHealthTable } from './sensor-health-table.ts'
import { momentText } from './sensor-table.ts'
import { STRINGS } from './strings.ts'
import { readState } from './table-parts.ts'
import { spokenState, uploadList } from './upload-list.ts'
import './upload-sender.ts'
import { UPLOAD_LANGUAGE, UPLOAD_STRINGS } from './upload-strings.ts'
import type { Uploads } from './uploads.ts'
import { formatView, type View } from './url-state.ts'

/** While an upload waits to be counted the page looks often; else whenever the app has asked for the hub's status. */
const LOOK_MILLISECONDS = 1500

/** Sends captures, and says what became of everything that was sent. Works before there is any data. */
class UploadsPage extends LitElement {
  static override properties = {
    view: { attribute: false },
    status: { attribute: false },
    uploads: { attribute: false },
    look: { state: true },
    sensor: { state: true },
    isOver: { state: true },
    note: { state: true },
    spoken: { state: true },
    doomed: { state: true },
    failure: { state: true },
  }
  declare view: View
  declare status: Status
  declare uploads: Uploads
  /** Counts the looks at the receipts. */
  declare look: number
  /** Chosen by a coordinator. */
  declare sensor: string | null
  /** A file is being dragged over the page. */
  declare isOver: boolean
  declare note: string
  /** For people who hear the page. */
  declare spoken: string
  /** The upload that is to be withdrawn, once that is confirmed. */
  declare doomed: Receipt | null
  declare failure: TelescopeError | null
  private readonly receipts = new Read<readonly Receipt[]>(this)
  private readonly health = new Read<readonly SensorHealth[]>(this)
  private readonly phases = new Map<string, string>()
  private timer = 0
  private gone = new AbortController()

  constructor() {
    super()
    this.look = 0
    this.sensor = null
    this.isOver = false
    this.note = ''
    this.spoken = ''
    this.doomed = null
    this.failure = null
  }

  protected override createRenderRoot(): HTMLElement {
    return this
  }

  override connectedCallback(): void {
    super.connectedCallback()
    this.gone = new AbortController()
    const { signal } = this.gone
    this.uploads.addEventListener('change', () => this.changed(), { signal })
    this.uploads.addEventListener('received', () => this.look++, { signal })
    // A file that misses the box must not replace the page, so the whole page takes it.
    document.addEventListener('dragover', event => this.dragOver(event), { signal })
    document.addEventListener(
      'dragleave',
      event => {
        if (event.relatedTarget === null) this.isOver = false
      },
      { signal },
    )
    document.addEventListener('drop', event => this.dropped(event), { signal })
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    this.gone.abort()
    clearTimeout(this.timer)
    this.timer = 0
  }

  private changed(): void {
    for (const item of this.uploads.queue.items) {
      if (this.phases.get(item.id) === item.phase) continue
      this.phases.set(item.id, item.phase)
      this.spoken = spokenState(item)
    }
    this.requestUpdate()
  }

  /** Looks again after a moment, for as long as an upload waits to be counted. */
  private lookSoon(): void {
    if (!this.isPending || this.timer !== 0) return
    this.timer = window.setTimeout(() => {
      this.timer = 0
      if (document.visibilityState === 'visible') this.look++
      else this.lookSoon()
    }, LOOK_MILLISECONDS)
  }

  private get isPending(): boolean {
    return this.receipts.value?.some(({ state }) => state === 'received') === true
  }

  /** Whoever may read sees how the sensors are doing, also without seeing uploads. */
  private get showsHealth(): boolean {
    const { sender } = this.uploads
    return sender.role !== null || (!sender.isChecking && sender.token === null && this.status.role === 'analyst')
  }

  private get filter(): ReceiptFilter {
    const { sender } = this.uploads
    const wanted = this.view.filters.sensor[0]
    const sensor =
      sender.role === 'coordinator' && wanted !== undefined && sender.sensors.includes(wanted) ? wanted : null
    return { state: this.view.receipts, sensor }
  }

  /** The sensor that new files are of. */
  private get target(): string | null {
    const { sensors } = this.uploads.sender
    if (sensors.length === 1) return sensors[0]!
    return this.sensor !== null && sensors.includes(this.sensor) ? this.sensor : null
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has('status')) {
      this.uploads.sender.useSession(this.status)
      this.look++
    }
    const { role, token } = this.uploads.sender
    // While uploads wait the page looks often; what that changes for the sensors shows once they are counted.
    if (this.showsHealth && (this.health.value === null || !this.isPending)) {
      this.health.run(`sensor-health ${role} ${token}`, this.look, signal => fetchSensorHealth(token, signal))
    }
    if (role === null) return
    const { filter } = this
    this.receipts.run(`${receiptsUrl(filter)} ${token}`, this.look, signal => fetchReceipts(filter, token, signal))
  }

  protected override updated(): void {
    const { error } = this.receipts
    if (error?.code === 'UNAUTHENTICATED' && this.uploads.sender.token !== null) {
      this.receipts.error = null
      this.uploads.sender.forgetToken(error)
    }
    this.lookSoon()
    const dialog = this.querySelector<HTMLDialogElement>('dialog.withdraw')
    if (this.doomed !== null && dialog?.open === false) dialog.showModal()
  }

  private dragOver(event: DragEvent): void {
    if (!event.dataTransfer?.types.includes('Files')) return
    event.preventDefault()
    this.isOver = true
  }

  private async dropped(event: DragEvent): Promise<void> {
    if (!event.dataTransfer?.types.includes('Files')) return
    event.preventDefault()
    this.isOver = false
    const { files, folders } = await droppedFiles(event.dataTransfer)
    await this.add(files, folders.length > 0 ? UPLOAD_STRINGS.folders(folders.join(', ')) : '')
  }

  private async pick(event: MouseEvent): Promise<void> {
    if (!hasHandlePicker()) return
    // The browser's own box gives files that cannot be opened again after a reload.
    event.preventDefault()
    await this.add(await pickFiles())
  }

  private async picked(event: Event): Promise<void> {
    const input = event.target as HTMLInputElement
    const files = [...input.files!].map(file => ({ file, handle: null }))
    // The same file can be chosen again.
    input.value = ''
    await this.add(files)
  }

  private async add(files: readonly ChosenFile[], note = ''): Promise<void> {
    const waits = this.uploads.queue.items.some(({ phase }) => phase === 'file' || phase === 'permission')
    this.note = this.target === null && !waits ? UPLOAD_STRINGS.dropFirst : note
    await this.uploads.queue.add(files, this.target)
  }

  /** The dialog closes by itself. The button that opened it goes with the state, so the focus needs another place. */
  private withdraw(receipt: Receipt): void {
    void this.actNow(receipt, 'withdraw').then(() => this.querySelector<HTMLElement>('#fate-title')?.focus())
  }

  private readonly act = (receipt: Receipt, action: ReceiptAction): void => {
    if (action === 'withdraw') this.doomed = receipt
    else void this.actNow(receipt, action)
  }

  private async actNow(receipt: Receipt, action: ReceiptAction): Promise<void> {
    this.failure = null
    try {
      await actOnReceipt(receipt, action, this.uploads.sender.token, this.gone.signal)
      this.spoken = UPLOAD_STRINGS.actionDone[action]
    } catch (error) {
      if (this.gone.signal.aborted) return
      this.failure = error instanceof TelescopeError ? error : new TelescopeError('INTERNAL', String(error), {}, error)
    }
    this.look++
  }

  protected override render(): TemplateResult {
    const { sender, queue } = this.uploads
    return html`<div lang=${UPLOAD_LANGUAGE}>
      <h1 tabindex="-1">${UPLOAD_STRINGS.title}</h1>
      <section class="panel" aria-labelledby="send-title">
        <h2 id="send-title">${UPLOAD_STRINGS.sendTitle}</h2>
        <upload-sender .uploads=${this.uploads} .sensor=${this.target} @sensor=${(event: CustomEvent<string>) => {
          this.sensor = event.detail
        }}></upload-sender>
        ${sender.role === null && queue.items.length === 0 ? nothing : this.dropBox()}
        ${this.note ? html`<p class="problem" role="alert">${this.note}</p>` : nothing}
        ${uploadList(queue)}
      </section>
      ${this.showsHealth ? this.sensorHealth() : nothing}
      <section class="panel" aria-labelledby="fate-title">
        <h2 id="fate-title" tabindex="-1">${UPLOAD_STRINGS.fateTitle}</h2>
        ${
          sender.role === null
            ? html`<p>${UPLOAD_STRINGS.receiptsClosed} <a href="/sign-in">${UPLOAD_STRINGS.signIn}</a></p>`
            : html`${this.filters()}
              ${this.failure ? html`<p class="problem" role="alert">${this.failure.message} (${this.failure.code})</p>` : nothing}
              ${readState(this.receipts, 4, receipts => this.fate(receipts))}`
        }
      </section>
      <p class="visually-hidden" role="status">${this.spoken}</p>
      ${this.doomed === null ? nothing : this.withdrawDialog(this.doomed)}
    </div>`
  }

  private sensorHealth(): TemplateResult {
    const { sender } = this.uploads
    const link = (sensor: string, state: ReceiptState): string => {
      const filters = { ...this.view.filters, sensor: sender.role === 'coordinator' ? [sensor] : [] }
      return formatView({ ...this.view, receipts: state, filters })
    }
    return html`<section class="panel" aria-labelledby="health-title">
      <h2 id="health-title">${UPLOAD_STRINGS.healthTitle}</h2>
      ${readState(this.health, 2, sensors =>
        sensors.length === 0
          ? html`<p>${UPLOAD_STRINGS.noSensor}</p>`
          : sensorHealthTable(sensors, sender.role === null ? null : link),
      )}
    </section>`
  }

  private dropBox(): TemplateResult {
    return html`<div class="drop ${this.isOver ? 'over' : ''}">
      <p>${UPLOAD_STRINGS.drop}
        <label class="button">${UPLOAD_STRINGS.choose}
          <input class="visually-hidden" type="file" multiple aria-describedby="drop-hint" @click=${this.pick} @change=${this.picked} />
        </label></p>
      <p class="note" id="drop-hint">${UPLOAD_STRINGS.dropHint(formatBytes(CAPTURE_BYTES_MAX))}</p>
    </div>`
  }

  private filters(): TemplateResult {
    const { sender } = this.uploads
    const { state, sensor } = this.filter
    const chosen = (event: Event): string => (event.target as HTMLSelectElement).value
    const option = (value: string, text: string, isChosen: boolean): TemplateResult =>
      html`<option value=${value} .selected=${isChosen}>${text}</option>`
    return html`<div class="field" role="group" aria-label=${UPLOAD_STRINGS.filter}>
      <label>${UPLOAD_STRINGS.state}
        <select @change=${(event: Event) => navigate({ ...this.view, receipts: chosen(event) as View['receipts'] })}>
          ${option('all', UPLOAD_STRINGS.stateAll, state === 'all')}
          ${RECEIPT_STATES.map(name => option(name, UPLOAD_STRINGS.states[name] ?? name, state === name))}
        </select></label>
      ${
        sender.role !== 'coordinator' || sender.sensors.length < 2
          ? nothing
          : html`<label>${UPLOAD_STRINGS.chooseSensor}
        <select @change=${(event: Event) => this.filterSensor(chosen(event))}>
          ${option('', UPLOAD_STRINGS.sensorAll, sensor === null)}
          ${sender.sensors.map(name => option(name, name, sensor === name))}
        </select></label>`
      }
    </div>`
  }

  private filterSensor(sensor: string): void {
    navigate({ ...this.view, filters: { ...this.view.filters, sensor: sensor === '' ? [] : [sensor] } })
  }

  private fate(receipts: readonly Receipt[]): TemplateResult {
    const { state, sensor } = this.filter
    if (receipts.length === 0 && state === 'all' && sensor === null) {
      return html`<div class="empty"><strong>${UPLOAD_STRINGS.emptyTitle}</strong><p>${UPLOAD_STRINGS.empty}</p>
        <pre class="scroll" tabindex="0"><code>${STRINGS.uploadLine(location.origin)}</code></pre></div>`
    }
    if (receipts.length === 0) {
      const all = formatView({ ...this.view, receipts: 'all', filters: { ...this.view.filters, sensor: [] } })
      const name = UPLOAD_STRINGS.states[state] ?? UPLOAD_STRINGS.stateAll
      return html`<div class="empty"><strong>${UPLOAD_STRINGS.emptyState(name)}</strong>
        <p class="ways"><a class="button" href=${all}>${UPLOAD_STRINGS.showAll}</a></p></div>`
    }
    const { sender } = this.uploads
    return html`${receiptTable(receipts, sender.sensors.length > 1 && sensor === null, this.act)}
      ${receipts.length < RECEIPTS_SHOWN_MAX ? nothing : html`<p class="note">${UPLOAD_STRINGS.cut(formatCount(receipts.length))}</p>`}`
  }

  private withdrawDialog(receipt: Receipt): TemplateResult {
    const close = (): void => {
      this.doomed = null
    }
    const text = receipt.state === 'held' ? UPLOAD_STRINGS.withdrawHeldText : UPLOAD_STRINGS.withdrawText
    return html`<dialog class="withdraw" aria-labelledby="withdraw-title" aria-describedby="withdraw-text" @close=${close}>
      <h2 id="withdraw-title">${UPLOAD_STRINGS.withdrawTitle}</h2>
      <p id="withdraw-text">${text(formatCount(receipt.packet_count ?? 0), momentText(receipt.received_at))}</p>
      <form method="dialog" class="ways">
        <button autofocus>${UPLOAD_STRINGS.keep}</button>
        <button class="danger" @click=${() => this.withdraw(receipt)}>${UPLOAD_STRINGS.withdrawGo}</button>
      </form>
    </dialog>`
  }
}

customElements.define('uploads-page', UploadsPage)
