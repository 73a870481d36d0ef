import { html, nothing, type TemplateResult } from 'lit'
import { RECEIPT, type Receipt } from '../../schemas/catalog.ts'
import { DROP_REASONS, type DropReason } from '../../schemas/drop-reason.ts'
import { cellLabel } from './card-cell.ts'
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
  const label = (column: 'sensor' | 'state' | 'byte_count' | 'packet_count' | 'drops') =>
    cellLabel(columns[column], RECEIPT[column].doc)
  const head = (column: 'received_at' | 'sensor' | 'state' | 'byte_count' | 'packet_count' | 'drops', kind: string) =>
    html`<th scope="col" class=${kind}>${definitionButton(columns[column], RECEIPT[column].doc)}</th>`
  return scrollBox(
    UPLOAD_STRINGS.fateTitle,
    html`<table class="receipts cards">
      <caption class="visually-hidden">${UPLOAD_STRINGS.fateTitle}</caption>
      <thead><tr>
        ${head('received_at', 'text')}${showsSensor ? head('sensor', 'text') : nothing}${head('state', 'text')}
        ${head('byte_count', 'number')}${head('packet_count', 'number')}${head('drops', 'text')}
        <th scope="col" class="text">${columns.remark}</th><th scope="col" class="text">${columns.actions}</th>
      </tr></thead>
      <tbody>${receipts.map(
        receipt => html`<tr data-sha256=${receipt.sha256} data-state=${receipt.state}>
          <th scope="row">${momentText(receipt.received_at)}<br /><small>${UPLOAD_STRINGS.kinds[receipt.kind]} <code>${shortDigest(receipt.sha256)}</code></small></th>
          ${showsSensor ? html`<td>${label('sensor')}${receipt.sensor}</td>` : nothing}
          <td>${label('state')}${stateCell(receipt.state)}</td>
          <td class="number">${label('byte_count')}<data value=${receipt.byte_count}>${formatBytes(receipt.byte_count)}</data></td>
          <td class="number">${label('packet_count')}${packets(receipt)}</td>
          <td>${label('drops')}${dropsCell(receipt)}</td>
          <td class="remark wide">${remark(receipt, receipts)}</td>
          <td class="row-actions wide">${receiptActions(receipt.state).map(
            action =>
              html`<button type="button" aria-label=${UPLOAD_STRINGS.actionOn(actionLabel(receipt, action), momentText(receipt.received_at))} @click=${() => act(receipt, action)}>${actionLabel(receipt, action)}</button>`,
          )}</td>
        </tr>`,
      )}</tbody>
    </table>`,
  )
}

function shortDigest(sha256: string): string {
  return sha256.slice(0, DIGITS_SHOWN)
}

/** Counting what was withdrawn is not what counting a second time is. */
function actionLabel({ state }: Receipt, action: ReceiptAction): string {
  return UPLOAD_STRINGS.actions[action === 'accept' && state === 'withdrawn' ? 'recount' : action]
}

/** The name of a state, which opens what it means. */
function stateCell(state: string): TemplateResult {
  const style = { counted: '', received: '', withdrawn: 'quiet' }[state] ?? (state === 'held' ? 'part' : 'none')
  const name = UPLOAD_STRINGS.states[state] ?? state
  return html`<b class="state ${style}">${definitionButton(name, UPLOAD_STRINGS.stateMeaning[state] ?? '')}</b>`
}

function packets({ packet_count: read, packet_kept_count: kept }: Receipt): TemplateResult {
  if (read === null) return html`${STRINGS.none}`
  return html`<data value=${read}>${formatCount(read)}</data>${
    kept === null || kept === read ? nothing : html`<br /><small>${UPLOAD_STRINGS.ofPackets(formatCount(kept))}</small>`
  }`
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
function remark(receipt: Receipt, shown: readonly Receipt[]): TemplateResult {
  const { error_code: code, error_message: message, duplicate_of: earlier, overlaps_with: overlaps } = receipt
  const advice = code === null ? undefined : UPLOAD_STRINGS.advice[code]
  return html`${earlier === null ? nothing : html`<p>${UPLOAD_STRINGS.sameContent(shortDigest(earlier))}</p>`}
    ${code === null ? nothing : html`<p>${overlaps === null ? message : overlapText(overlaps, receipt, shown)} <code>${code}</code></p>`}
    ${advice === undefined ? nothing : html`<p><strong>${advice}</strong></p>`}`
}

/** Which uploads hold the same traffic, each with its time where it is among those shown. */
function overlapText(digests: string, { sensor }: Receipt, shown: readonly Receipt[]): string {
  const uploads = digests.split(',').map(sha256 => {
    const other = shown.find(receipt => receipt.sha256 === sha256 && receipt.sensor === sensor)
    if (other === undefined) return shortDigest(sha256)
    return UPLOAD_STRINGS.overlapOf(shortDigest(sha256), momentText(other.received_at))
  })
  return UPLOAD_STRINGS.overlaps(uploads.join(', '))
}
