import { html, type TemplateResult } from 'lit'
import { definitionButton } from './definition.ts'

/**
 * The name of a column inside a cell of a `table.cards`: where there is no room for columns each row is a card, the
 * head is gone, and this stands before the value instead.
 */
export function cellLabel(label: string, doc: string): TemplateResult {
  return html`<span class="cell-label">${doc === '' ? label : definitionButton(label, doc)}</span>`
}
