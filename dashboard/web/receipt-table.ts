import { html, nothing, type TemplateResult } from 'lit'
import { RECEIPT, type Receipt } from '../../schemas/catalog.ts'
import { DROP_REASONS, type DropReason } from '../../schemas/drop-reason.ts'
import { definitionButton } from './definition.ts'
import { formatBytes, formatCount } from './format.ts'
import { type ReceiptAction, receiptActions } from './receipt-api.ts'
import { momentText } from './sensor-table.ts'
import { STRINGS } from './strings.ts'
import { scrollBox } from './table-parts.ts'
import { UPLOAD_STRINGS } from './upload-strings.ts'

/** Digits of a digest that are enough to tell uploads apart by eye. */
const DIGITS_SHOWN = 12

/** Uploads with what became of each. `act` is called for what a person wants done. */
export function receiptTable(
  receipts: readonly Receipt[],
  showsSensor: boolean,
  act: (receipt: Receipt, action: ReceiptAction) => void,
): TemplateResult {
  const { columns } = UPLOAD_STRINGS
  const head = (column: 'received_at' | 'sensor' | 'state' | 'byte_count' | 'packet_count' | 'drops', kind: string) =>
    html`<th scope="col" class=${kind}>${definitionButton(columns[column], RECEIPT[column].doc)}</th>`
  return scrollBox(
    UPLOAD_STRINGS.fateTitle,
    html`<table class="receipts">
      <caption class="visually-hidden">${UPLOAD_STRINGS.fateTitle}</caption>
      <thead><tr>
        ${head('received_at', 'text')}${showsSensor ? head('sensor', 'text') : nothing}${head('state', 'text')}
        ${head('byte_count', 'number')}${head('packet_count', 'number')}${head('drops', 'text')}
        <th scope="col" class="text">${columns.remark}</th><th scope="col" class="text">${columns.actions}</th>
      </tr></thead>
      <tbody>${receipts.map(
        receipt => html`<tr data-sha256=${receipt.sha256} data-state=${receipt.state}>
          <th scope="row">${momentText(receipt.received_at)}<br /><small>${UPLOAD_STRINGS.kinds[receipt.kind]} <code>${shortDigest(receipt.sha256)}</code></small></th>
          ${showsSensor ? html`<td>${receipt.sensor}</td>` : nothing}
          <td>${stateCell(receipt.state)}</td>
          <td class="number"><data value=${receipt.byte_count}>${formatBytes(receipt.byte_count)}</data></td>
          ${packetsCell(receipt)}
          <td>${dropsCell(receipt)}</td>
          <td class="remark">${remark(receipt)}</td>
          <td class="row-actions">${receiptActions(receipt.state).map(
            action =>
              html`<button type="button" aria-label=${UPLOAD_STRINGS.actionOn(UPLOAD_STRINGS.actions[action], momentText(receipt.received_at))} @click=${() => act(receipt, action)}>${UPLOAD_STRINGS.actions[action]}</button>`,
          )}</td>
        </tr>`,
      )}</tbody>
    </table>`,
  )
}

function shortDigest(sha256: string): string {
  return sha256.slice(0, DIGITS_SHOWN)
}

/** The name of a state, which opens what it means. */
function stateCell(state: string): TemplateResult {
  const style = { counted: '', received: '', withdrawn: 'quiet' }[state] ?? (state === 'held' ? 'part' : 'none')
  const name = UPLOAD_STRINGS.states[state] ?? state
  return html`<b class="state ${style}">${definitionButton(name, UPLOAD_STRINGS.stateMeaning[state] ?? '')}</b>`
}

function packetsCell({ packet_count: read, packet_kept_count: kept }: Receipt): TemplateResult {
  if (read === null) return html`<td class="number">${STRINGS.none}</td>`
  return html`<td class="number"><data value=${read}>${formatCount(read)}</data>${
    kept === null || kept === read ? nothing : html`<br /><small>${UPLOAD_STRINGS.ofPackets(formatCount(kept))}</small>`
  }</td>`
}

/** Packets that are in no number, by reason, the most frequent first; each reason opens its definition. */
function dropsCell({ drops, packet_count: read }: Receipt): TemplateResult | string {
  if (read === null) return STRINGS.none
  const counts = Object.entries((drops ?? {}) as Readonly<Record<string, number>>)
    .filter(([, count]) => count > 0)
    .sort((a, b) => b[1] - a[1])
  if (counts.length === 0) return UPLOAD_STRINGS.dropsNone
  return html`<ul class="drops">${counts.map(
    ([reason, count]) =>
      html`<li>${formatCount(count)} ${definitionButton(UPLOAD_STRINGS.drops[reason] ?? reason, DROP_REASONS[reason as DropReason] ?? '')}</li>`,
  )}</ul>`
}

/** What was wrong, if anything, and what to do about it. */
function remark({ error_code: code, error_message: message, duplicate_of: earlier }: Receipt): TemplateResult {
  return html`${earlier === null ? nothing : html`<p>${UPLOAD_STRINGS.sameContent(shortDigest(earlier))}</p>`}
    ${code === null ? nothing : html`<p>${message} <code>${code}</code></p>`}
    ${code === null || !UPLOAD_STRINGS.advice[code] ? nothing : html`<p><strong>${UPLOAD_STRINGS.advice[code]}</strong></p>`}`
}
