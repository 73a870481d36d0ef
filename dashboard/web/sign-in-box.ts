import { html, LitElement, nothing, type TemplateResult } from 'lit'
import { TelescopeError } from '../../schemas/errors.ts'
import { signIn } from './api.ts'
import { STRINGS } from './strings.ts'

/** Takes a token, from the link that the hub printed (`/sign-in#TOKEN`) or from the box. Event: `signed-in`. */
class SignInBox extends LitElement {
  static override properties = {
    token: { attribute: false },
    open: { attribute: false },
    problem: { state: true },
    busy: { state: true },
  }
  /** Tried at once when it is not empty. */
  declare token: string
  /** True when the hub shows its numbers without a token, or this browser has one already. */
  declare open: boolean
  declare problem: string
  declare busy: boolean
  private readonly abort = new AbortController()

  constructor() {
    super()
    this.token = ''
    this.open = false
    this.problem = ''
    this.busy = false
  }

  protected override createRenderRoot(): HTMLElement {
    return this
  }

  protected override firstUpdated(): void {
    if (this.token !== '') void this.send(this.token)
    else this.querySelector('input')?.focus()
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    this.abort.abort()
  }

  private async send(token: string): Promise<void> {
    this.busy = true
    this.problem = ''
    try {
      await signIn(token, this.abort.signal)
      this.dispatchEvent(new Event('signed-in'))
    } catch (error) {
      if (this.abort.signal.aborted) return
      this.problem = error instanceof TelescopeError ? `${error.message} (${error.code})` : String(error)
    } finally {
      this.busy = false
    }
  }

  private submit(event: SubmitEvent): void {
    event.preventDefault()
    const token = this.querySelector('input')!.value.trim()
    if (token !== '') void this.send(token)
  }

  protected override render(): TemplateResult {
    return html`<section class="panel sign-in" aria-labelledby="sign-in-title">
      <h1 id="sign-in-title" tabindex="-1">${STRINGS.signInTitle}</h1>
      ${this.open ? html`<p>${STRINGS.signInOpen} <a href="/">${STRINGS.signInToNumbers}</a></p>` : nothing}
      <p>${this.busy ? STRINGS.signingIn : this.open ? STRINGS.signInOther : STRINGS.signInText}</p>
      <form @submit=${this.submit}>
        <label for="token-box">${STRINGS.signInToken}</label>
        <input id="token-box" type="password" autocomplete="off" spellcheck="false" required ?disabled=${this.busy} />
        <button ?disabled=${this.busy}>${STRINGS.signInGo}</button>
      </form>
      ${this.problem ? html`<p class="problem" role="alert">${this.problem}</p>` : nothing}
    </section>`
  }
}

customElements.define('sign-in-box', SignInBox)
