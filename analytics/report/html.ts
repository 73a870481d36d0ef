/** Text that came from outside, made harmless for HTML text and attribute values. */
export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')
}

interface HtmlColumn {
  readonly title: string
  /** Numbers are set to the right. */
  readonly numeric?: boolean
}

/** A table with a caption; the first cell of each row heads it. Cells are plain text and are escaped here. */
export function htmlTable(
  caption: string,
  columns: readonly HtmlColumn[],
  rows: readonly (readonly string[])[],
): string {
  const kind = (index: number): string => (columns[index]!.numeric ? ' class="number"' : '')
  const head = columns.map(({ title }, index) => `<th scope="col"${kind(index)}>${escapeHtml(title)}</th>`).join('')
  const body = rows.map(cells => {
    const [first, ...rest] = cells
    const others = rest.map((cell, index) => `<td${kind(index + 1)}>${escapeHtml(cell)}</td>`).join('')
    return `<tr><th scope="row"${kind(0)}>${escapeHtml(first!)}</th>${others}</tr>`
  })
  return `<table><caption>${escapeHtml(caption)}</caption><thead><tr>${head}</tr></thead><tbody>${body.join('\n')}</tbody></table>`
}

const integers = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })
const rates = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 })
const shares = new Intl.NumberFormat('en-US', { style: 'percent', maximumFractionDigits: 1 })

/** `12,345`. */
export function showCount(value: number): string {
  return integers.format(value)
}

/** Three significant digits; a dash where nobody listened. */
export function showRate(value: number | null): string {
  return value === null ? '–' : value >= 1000 ? integers.format(value) : rates.format(value)
}

/** `12.3%`; what is not quite all never reads as all. */
export function showShare(value: number): string {
  return value > 0.999 && value < 1 ? '>99.9%' : shares.format(value)
}
