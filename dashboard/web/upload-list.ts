import { html, nothing, type TemplateResult } from 'lit'
import { timeLeftText } from './duration-text.ts'
import { formatBytes, formatClock, formatDate } from './format.ts'
import type { UploadItem, UploadQueue } from './upload-queue.ts'
import { UPLOAD_STRINGS } from './upload-strings.ts'

/** The files that are being sent, with what each waits for and what can be done about it. */
export function uploadList(queue: UploadQueue): TemplateResult | typeof nothing {
  const { items } = queue
  if (items.length === 0) return nothing
  return html`<h3 class="visually-hidden" id="queue-title">${UPLOAD_STRINGS.queueTitle}</h3>
    <ul class="uploads" aria-labelledby="queue-title">${items.map(item => uploadRow(item, queue))}</ul>`
}

/** What changed of a file, for people who hear the page; changes of bytes are not told. */
export function spokenState(item: UploadItem): string {
  return `${item.name}: ${phaseText(item)}`
}

function uploadRow(item: UploadItem, queue: UploadQueue): TemplateResult {
  const { phase, trouble } = item
  return html`<li data-phase=${phase} data-upload=${item.name}>
    <span class="upload-name">${item.name}</span>
    <span class="upload-actions">${actions(item, queue)}</span>
    ${
      phase === 'asks' || phase === 'refused' || phase === 'received'
        ? nothing
        : html`<progress max=${item.byteCount} value=${item.sent} aria-label=${UPLOAD_STRINGS.progressOf(item.name)}></progress>`
    }
    <span class="upload-state"><b class="state ${stateClass(item)}">${phaseText(item)}</b> ${numbers(item)}</span>
    ${trouble ? html`<span class="problem">${phase === 'sending' ? UPLOAD_STRINGS.trouble(trouble.message) : `${trouble.message} (${trouble.code})`} ${advice(trouble.code)}</span>` : nothing}
  </li>`
}

function advice(code: string): string {
  return UPLOAD_STRINGS.advice[code] ?? ''
}

/** The same bytes as before get the same receipt, and it may be of something that was taken out. */
function phaseText({ phase, receipt }: UploadItem): string {
  const isWithdrawn = phase === 'received' && receipt?.state === 'withdrawn'
  return isWithdrawn ? UPLOAD_STRINGS.receivedWithdrawn : UPLOAD_STRINGS.phase[phase]
}

function stateClass({ phase, trouble }: UploadItem): string {
  if (phase === 'refused') return 'none'
  if (phase === 'sending') return trouble ? 'part' : ''
  return phase === 'received' || phase === 'queued' ? '' : 'part'
}

/** Bytes, speed and time left; the date tells files of one name apart. */
function numbers(item: UploadItem): TemplateResult {
  const { phase, sent, byteCount, speed } = item
  const total = formatBytes(byteCount)
  const parts: string[] = []
  if (phase === 'sending' || sent > 0)
    parts.push(phase === 'received' ? total : UPLOAD_STRINGS.progress(formatBytes(sent), total))
  else parts.push(total)
  if (phase === 'sending' && speed !== null) {
    parts.push(
      UPLOAD_STRINGS.speed(formatBytes(speed)),
      UPLOAD_STRINGS.timeLeft(timeLeftText((byteCount - sent) / speed)),
    )
  }
  if (phase === 'file' || phase === 'permission') {
    const seconds = item.lastModified / 1000
    parts.push(`${formatDate(seconds)} ${formatClock(seconds)} UTC`)
  }
  parts.push(item.sensor)
  return html`<span class="quiet">${parts.join(' · ')}</span>`
}

function actions(item: UploadItem, queue: UploadQueue): TemplateResult {
  const { id, name, phase, trouble } = item
  const button = (label: string, act: () => unknown): TemplateResult =>
    html`<button type="button" aria-label=${UPLOAD_STRINGS.actionOn(label, name)} @click=${act}>${label}</button>`
  const resume = (label: string): TemplateResult => button(label, () => queue.resume(id))
  const forward = {
    asks: () => resume(UPLOAD_STRINGS.sendAnyway),
    queued: () => button(UPLOAD_STRINGS.pause, () => queue.pause(id)),
    sending: () =>
      html`${trouble ? resume(UPLOAD_STRINGS.tryNow) : nothing}${button(UPLOAD_STRINGS.pause, () => queue.pause(id))}`,
    paused: () => resume(UPLOAD_STRINGS.resume),
    permission: () => resume(UPLOAD_STRINGS.resume),
    // Another size needs another file.
    refused: () => (trouble?.code.startsWith('BODY_') ? nothing : resume(UPLOAD_STRINGS.again)),
    file: () => nothing,
    credential: () => nothing,
    elsewhere: () => nothing,
    received: () => nothing,
  }[phase]()
  const isOver = phase === 'received' || phase === 'refused' || phase === 'asks'
  return html`${forward}${button(isOver ? UPLOAD_STRINGS.remove : UPLOAD_STRINGS.cancel, () => queue.cancel(id))}`
}
