import { html, LitElement, nothing, type TemplateResult } from 'lit'
import { STRINGS } from './strings.ts'
import { UPLOAD_STRINGS } from './upload-strings.ts'
import type { Uploads } from './uploads.ts'

/** Says for which sensor captures are sent, and takes the token where the session is not enough. Event: `sensor`. */
class UploadSender extends LitElement {
  static override properties = { uploads: { attribute: false }, sensor: { attribute: false } }
  declare uploads: Uploads
  /** The sensor that is chosen; null while none can be. */
  declare sensor: string | null

  protected override createRenderRoot(): HTMLElement {
    return this
  }

  override connectedCallback(): void {
    super.connectedCallback()
    this.uploads.addEventListener('change', this.onChange)
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    this.uploads.removeEventListener('change', this.onChange)
  }

  private readonly onChange = (): void => this.requestUpdate()

  private submit(event: SubmitEvent): void {
    event.preventDefault()
    const box = this.querySelector<HTMLInputElement>('#upload-token')!
    const token = box.value.trim()
    box.value = ''
    if (token !== '') this.uploads.sender.useToken(token)
  }

  private choose(event: Event): void {
    const sensor = (event.target as HTMLSelectElement).value
    this.dispatchEvent(new CustomEvent('sensor', { detail: sensor }))
  }

  protected override render(): TemplateResult {
    const { sender } = this.uploads
    const { problem } = sender
    return html`<div class="sender">
      ${sender.isChecking ? html`<p class="quiet" role="status">${UPLOAD_STRINGS.tokenChecking}</p>` : this.who()}
      ${problem ? html`<p class="problem" role="alert">${problem.message} (${problem.code})</p>` : nothing}
    </div>`
  }

  private who(): TemplateResult {
    const { sender } = this.uploads
    const forget =
      sender.token === null
        ? nothing
        : html`<button type="button" class="quiet-button" @click=${() => sender.forgetToken()}>${UPLOAD_STRINGS.tokenForget}</button>`
    if (sender.role === null) return this.tokenForm()
    if (sender.sensors.length === 0) return html`<p>${UPLOAD_STRINGS.noSensor} ${forget}</p>`
    if (sender.role === 'sensor' || sender.sensors.length === 1)
      return html`<p>${UPLOAD_STRINGS.asSensor(sender.sensors[0]!)} ${forget}</p>`
    return html`<p class="field"><label for="upload-sensor">${UPLOAD_STRINGS.chooseSensor}</label>
      <select id="upload-sensor" @change=${this.choose}>
        ${this.sensor === null ? html`<option value="" selected disabled>${STRINGS.none}</option>` : nothing}
        ${sender.sensors.map(name => html`<option value=${name} .selected=${name === this.sensor}>${name}</option>`)}
      </select> ${forget}</p>`
  }

  private tokenForm(): TemplateResult {
    return html`<form class="field" @submit=${this.submit}>
        <label for="upload-token">${UPLOAD_STRINGS.token}</label>
        <input id="upload-token" type="password" autocomplete="off" spellcheck="false" required aria-describedby="upload-token-why" />
        <button>${UPLOAD_STRINGS.tokenUse}</button>
      </form>
      <p class="note" id="upload-token-why">${UPLOAD_STRINGS.tokenWhy}</p>`
  }
}

customElements.define('upload-sender', UploadSender)
