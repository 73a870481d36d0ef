import { html, LitElement, type TemplateResult } from 'lit'
import { STRINGS } from './strings.ts'

/** A label that opens what it means; `doc` is the sentence of the data dictionary. */
export function definitionButton(label: string, doc: string): TemplateResult {
  const open = (event: Event): void =>
    document
      .querySelector<DefinitionPopover>('definition-popover')
      ?.open(event.currentTarget as HTMLElement, label, doc)
  return html`<button type="button" class="define" aria-haspopup="dialog" title=${STRINGS.definitionOf(label)} @click=${open}>${label}</button>`
}

/** The one popover in which definitions show, beside the button that asked. */
class DefinitionPopover extends LitElement {
  static override properties = { label: { state: true }, doc: { state: true } }
  declare label: string
  declare doc: string

  constructor() {
    super()
    this.label = ''
    this.doc = ''
  }

  protected override createRenderRoot(): HTMLElement {
    return this
  }

  open(anchor: HTMLElement, label: string, doc: string): void {
    this.label = label
    this.doc = doc
    void this.updateComplete.then(() => {
      const panel = this.querySelector<HTMLElement>('.definition')!
      panel.showPopover()
      place(panel, anchor.getBoundingClientRect())
      panel.focus({ preventScroll: true })
      panel.addEventListener('toggle', () => anchor.focus({ preventScroll: true }), { once: true })
    })
  }

  protected override render(): TemplateResult {
    return html`<div class="definition" popover tabindex="-1" role="dialog" aria-label=${STRINGS.definitionOf(this.label)}>
      <strong>${this.label}</strong>
      <p>${this.doc}</p>
    </div>`
  }
}

/** Under the anchor when there is room, else above; always inside the window. */
function place(panel: HTMLElement, anchor: DOMRect): void {
  const margin = 8
  const left = Math.max(margin, Math.min(anchor.left, window.innerWidth - panel.offsetWidth - margin))
  const below = anchor.bottom + 4
  const fits = below + panel.offsetHeight + margin <= window.innerHeight
  panel.style.left = `${left}px`
  panel.style.top = `${fits ? below : Math.max(margin, anchor.top - panel.offsetHeight - 4)}px`
}

customElements.define('definition-popover', DefinitionPopover)
