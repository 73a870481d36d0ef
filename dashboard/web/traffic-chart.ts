import { html, LitElement, nothing, type PropertyValues, svg, type TemplateResult } from 'lit'
import uPlot from 'uplot'
import type { AlignedTraffic } from './align.ts'
import { bucketPaths, fillMissing, hatchPattern, TIME_STEPS, timeLabels } from './chart-drawing.ts'
import { formatCompact, formatCount, formatMoment, formatRate } from './format.ts'
import type { TimeRange } from './range.ts'
import { STRINGS } from './strings.ts'
import type { Measure } from './url-state.ts'

/** Dashes that tell series apart without colour; the first is a plain line. */
const DASHES: readonly (readonly number[])[] = [
  [],
  [7, 3],
  [2, 3],
  [10, 3, 2, 3],
  [4, 4],
  [12, 4],
  [1, 2],
  [8, 2, 2, 2, 2, 2],
]
/** Colours in style.css, `--series-1` and so on; dashes go round one later than colours do. */
const COLOURS = 7
/** More lines than this cannot be told apart; the table has them all. */
const SERIES_DRAWN_MAX = 12
/** More stepped lines than this hide each other. */
const STEP_SERIES_MAX = 3
const HEIGHT = 260
/** Room right of the plotting area; the coverage strip leaves the same (`--plot-right` in the style sheet). */
const PADDING_RIGHT = 12

export interface ChartData {
  readonly name: string
  readonly unit: string
  readonly measure: Measure
  readonly range: TimeRange
  readonly bucketSeconds: number
  readonly aligned: AlignedTraffic
  readonly labels: Readonly<Record<string, string>>
  /** Sensors that listened, per bucket. */
  readonly listening: readonly number[]
  /** Sensors that had begun, per bucket; 0 where the time is still to come. */
  readonly expected: readonly number[]
  /** When the columns were made, Unix seconds. */
  readonly now: number
}

/**
 * Lines over time, by pointer and by keyboard. Events: `zoom` with the stretch chosen as {since, until} of buckets,
 * and `zoom-out`.
 */
class TrafficChart extends LitElement {
  static override properties = {
    chart: { attribute: false },
    cursor: { state: true },
    muted: { state: true },
    spoken: { state: true },
  }
  declare chart: ChartData
  declare cursor: number | null
  declare muted: ReadonlySet<string>
  declare spoken: string
  private plot: uPlot | null = null
  private anchor: number | null = null
  private readonly resize = new ResizeObserver(() => this.resizePlot())
  private readonly scheme = matchMedia('(prefers-color-scheme: dark)')
  private readonly restyle = (): void => this.draw()
  private readonly themeWatch = new MutationObserver(this.restyle)

  constructor() {
    super()
    this.cursor = null
    this.muted = new Set()
    this.spoken = ''
  }

  protected override createRenderRoot(): HTMLElement {
    return this
  }

  override connectedCallback(): void {
    super.connectedCallback()
    this.resize.observe(this)
    this.scheme.addEventListener('change', this.restyle)
    this.themeWatch.observe(document.documentElement, { attributeFilter: ['data-theme'] })
    if (this.hasUpdated) this.draw()
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    this.resize.disconnect()
    this.scheme.removeEventListener('change', this.restyle)
    this.themeWatch.disconnect()
    this.plot?.destroy()
    this.plot = null
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (!changed.has('chart')) return
    this.anchor = null
    if (this.cursor !== null && this.cursor >= this.chart.aligned.time.length) this.cursor = null
  }

  protected override updated(changed: PropertyValues): void {
    if (changed.has('chart') || changed.has('muted')) this.draw()
  }

  /** The series that are drawn: all, or the largest when there are too many to tell apart. */
  private get drawn(): AlignedTraffic['series'] {
    const { series } = this.chart.aligned
    if (series.length <= SERIES_DRAWN_MAX) return series
    const size = new Map(
      series.map(({ name, values }) => [name, values.reduce<number>((sum, value) => sum + (value ?? 0), 0)]),
    )
    const largest = new Set(
      [...size]
        .sort((a, b) => b[1] - a[1])
        .slice(0, SERIES_DRAWN_MAX)
        .map(([name]) => name),
    )
    return series.filter(({ name }) => largest.has(name))
  }

  private draw(): void {
    const target = this.querySelector<HTMLElement>('.plot')
    if (!target || !this.isConnected) return
    this.plot?.destroy()
    const { aligned } = this.chart
    const data = [aligned.time, ...this.drawn.map(series => series.values)] as uPlot.AlignedData
    this.plot = new uPlot(this.options(getComputedStyle(this)), data, target)
    if (this.cursor !== null) this.moveCursor(this.cursor)
  }

  private resizePlot(): void {
    const width = this.querySelector('.plot')?.clientWidth ?? 0
    if (this.plot && width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT })
  }

  private options(style: CSSStyleDeclaration): uPlot.Options {
    const { range, bucketSeconds, listening, expected } = this.chart
    const colour = (name: string): string => style.getPropertyValue(name).trim()
    const font = `12px ${style.fontFamily}`
    const axis = {
      font,
      stroke: colour('--text-quiet'),
      grid: { stroke: colour('--line-soft'), width: 1 },
      ticks: { stroke: colour('--line-soft'), width: 1, size: 4 },
    }
    const gutter = Number.parseFloat(colour('--plot-left')) || 56
    const steps = this.drawn.length <= STEP_SERIES_MAX
    return {
      width: Math.max(120, this.querySelector('.plot')!.clientWidth),
      height: HEIGHT,
      padding: [10, PADDING_RIGHT, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        points: { size: 7 },
        // A bucket is hovered over all its length, not up to the middle.
        dataIdx: (plot, _series, _closest, x) =>
          Math.max(0, Math.min(plot.data[0].length - 1, Math.floor((x - range.since) / bucketSeconds))),
        drag: { x: true, y: false, setScale: false, dist: 6 },
        bind: {
          dblclick: () => () => {
            this.dispatchEvent(new Event('zoom-out'))
            return null
          },
        },
      },
      scales: {
        x: { time: false, range: () => [range.since, range.until] },
        y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.08 : 1] },
      },
      axes: [
        {
          ...axis,
          space: 64,
          incrs: TIME_STEPS,
          values: (_plot, splits) => timeLabels(splits, range.until),
          size: 28,
          gap: 4,
        },
        { ...axis, size: gutter, space: 36, gap: 4, values: (_plot, splits) => splits.map(formatCompact) },
      ],
      series: [
        {},
        ...this.drawn.map((series, index) => ({
          label: series.name,
          show: !this.muted.has(series.name),
          stroke: colour(`--series-${(index % COLOURS) + 1}`),
          width: 1.75,
          dash: [...DASHES[index % DASHES.length]!],
          // The area under the first line only: a second would cover it.
          ...(index === 0 && steps ? { fill: colour('--series-1-area') } : {}),
          points: { show: false },
          paths: bucketPaths(bucketSeconds, steps ? 'steps' : 'lines'),
        })),
      ],
      hooks: {
        drawClear: [
          plot => {
            const hatch = hatchPattern(plot.ctx, colour('--hatch'))
            if (hatch) fillMissing(plot, listening, expected, bucketSeconds, hatch)
          },
        ],
        setCursor: [plot => this.followCursor(plot)],
        setSelect: [plot => this.takeSelection(plot)],
      },
    }
  }

  private followCursor(plot: uPlot): void {
    const { left } = plot.cursor
    if (left === undefined || left < 0) this.cursor = null
    else this.cursor = plot.cursor.idxs?.[1] ?? plot.cursor.idx ?? null
  }

  private takeSelection(plot: uPlot): void {
    const { left, width } = plot.select
    if (width === 0) return
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
    // A keyboard selection is only shown; Enter takes it.
    if (this.anchor === null) this.emitZoom(plot.posToVal(left, 'x'), plot.posToVal(left + width, 'x'))
  }

  private emitZoom(since: number, until: number): void {
    this.dispatchEvent(new CustomEvent('zoom', { detail: { since, until } }))
  }

  private moveCursor(index: number): void {
    const { plot, chart } = this
    if (!plot) return
    const middle = chart.aligned.time[index]! + chart.bucketSeconds / 2
    plot.setCursor({ left: plot.valToPos(middle, 'x'), top: plot.over.clientHeight / 2 })
  }

  private onKey(event: KeyboardEvent): void {
    const { time } = this.chart.aligned
    const step = event.ctrlKey ? 10 : 1
    const at = this.cursor ?? (event.key === 'ArrowLeft' ? time.length : -1)
    const target: Readonly<Record<string, number>> = {
      ArrowLeft: at - step,
      ArrowRight: at + step,
      PageUp: at - 24,
      PageDown: at + 24,
      Home: 0,
      End: time.length - 1,
    }
    if (event.key in target && !event.altKey && !event.metaKey) {
      event.preventDefault()
      this.step(Math.max(0, Math.min(time.length - 1, target[event.key]!)), event.shiftKey)
    } else if (event.key === 'Enter' && this.anchor !== null && this.cursor !== null) {
      event.preventDefault()
      const [from, to] = [Math.min(this.anchor, this.cursor), Math.max(this.anchor, this.cursor)]
      this.anchor = null
      this.emitZoom(time[from]!, time[to]! + this.chart.bucketSeconds)
    } else if (event.key === 'Escape') {
      event.preventDefault()
      if (this.anchor === null) this.dispatchEvent(new Event('zoom-out'))
      this.clearSelection()
    }
  }

  private step(index: number, select: boolean): void {
    if (this.chart.aligned.time.length === 0) return
    if (select) this.anchor ??= this.cursor ?? index
    else this.clearSelection()
    this.moveCursor(index)
    this.cursor = index
    if (this.anchor === null) this.spoken = this.describe(index)
    else this.showSelection(this.anchor, index)
  }

  private clearSelection(): void {
    this.anchor = null
    this.plot?.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
  }

  private showSelection(a: number, b: number): void {
    const { time } = this.chart.aligned
    const [from, to] = [time[Math.min(a, b)]!, time[Math.max(a, b)]! + this.chart.bucketSeconds]
    const { plot } = this
    const left = plot?.valToPos(from, 'x') ?? 0
    const width = (plot?.valToPos(to, 'x') ?? 0) - left
    plot?.setSelect({ left, top: 0, width, height: plot.over.clientHeight }, false)
    this.spoken = STRINGS.selected(formatMoment(from, 1), formatMoment(to, 1))
  }

  private describe(index: number): string {
    const { aligned, bucketSeconds } = this.chart
    const parts = this.drawn
      .filter(series => !this.muted.has(series.name))
      .map(series => `${this.labelOf(series.name)} ${this.valueText(series.values[index]!, index)}`)
    return `${formatMoment(aligned.time[index]!, bucketSeconds)} ${STRINGS.utc}: ${parts.join(', ')}${this.listeningText(index, '; ')}`
  }

  /** How many of those who could listened; nothing where nobody could. */
  private listeningText(index: number, joint: string): string {
    const { listening, expected } = this.chart
    return expected[index] ? `${joint}${STRINGS.listening(listening[index] ?? 0, expected[index])}` : ''
  }

  private labelOf(name: string): string {
    return this.chart.labels[name] ?? name
  }

  private valueText(value: number | null, index: number | null): string {
    if (value === null) return index === null ? STRINGS.gapWord : this.gapText(index)
    return this.chart.measure === 'rate' ? formatRate(value) : formatCount(value)
  }

  private gapText(index: number): string {
    const { aligned, expected, now } = this.chart
    if (aligned.time[index]! >= now) return STRINGS.notYetWord
    return expected[index] === 0 ? STRINGS.notBegunWord : STRINGS.gapWord
  }

  /** What stands in the legend while nothing is pointed at. */
  private summaryOf(values: readonly (number | null)[]): number | null {
    const heard = values.filter(value => value !== null)
    if (heard.length === 0) return null
    if (this.chart.measure === 'sources') return heard.reduce((most, value) => Math.max(most, value), 0)
    const total = heard.reduce((sum, value) => sum + value, 0)
    return this.chart.measure === 'packets' ? total : total / heard.length
  }

  private toggle(name: string): void {
    const hidden = new Set(this.muted)
    if (!hidden.delete(name)) hidden.add(name)
    this.muted = hidden
  }

  protected override render(): TemplateResult {
    const { aligned, bucketSeconds, measure, unit, name } = this.chart
    const at = this.cursor
    const drawn = this.drawn
    return html`
      <div class="legend">
        ${drawn.map(
          (
            series,
            index,
          ) => html`<button type="button" class="legend-item" aria-pressed=${this.muted.has(series.name) ? 'false' : 'true'}
            title=${STRINGS.hidden(this.labelOf(series.name))} @click=${() => this.toggle(series.name)}>
            ${swatch(index)}<span>${this.labelOf(series.name)}</span>
            <b>${this.valueText(at === null ? this.summaryOf(series.values) : series.values[at]!, at)}</b>
          </button>`,
        )}
        <span class="legend-time">${at === null ? STRINGS.summary[measure] : `${formatMoment(aligned.time[at]!, bucketSeconds)} ${STRINGS.utc}`}</span>
      </div>
      <p class="unit">${unit}${at === null ? nothing : this.listeningText(at, ' · ')}</p>
      <div class="plot" tabindex="0" role="application" aria-roledescription=${STRINGS.chartRole} aria-label="${name}, ${unit}. ${STRINGS.chartHelp}" @keydown=${this.onKey}></div>
      <p class="visually-hidden" aria-live="polite">${this.spoken}</p>
      ${drawn.length < aligned.series.length ? html`<p class="note">${STRINGS.seriesCut(drawn.length, aligned.series.length)}</p>` : nothing}
    `
  }
}

/** The line of a series as it is drawn: colour and dash. */
function swatch(index: number): TemplateResult {
  const dash = DASHES[index % DASHES.length]!.join(' ')
  return html`<svg class="swatch series-${(index % COLOURS) + 1}" viewBox="0 0 24 8" aria-hidden="true">${svg`<line x1="0" x2="24" y1="4" y2="4" stroke-dasharray=${dash}/>`}</svg>`
}

customElements.define('traffic-chart', TrafficChart)
