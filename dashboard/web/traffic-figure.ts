import { html, LitElement, nothing, type TemplateResult } from 'lit'
import type { Answer, QueryParameters } from '../../schemas/api.ts'
import { TRAFFIC_CLASSES } from '../../schemas/protocol.ts'
import {
  alignTraffic,
  beginningsOf,
  countableSeconds,
  coverageBySensor,
  expectedCounts,
  listeningCounts,
} from './align.ts'
import { answerUrl, fetchAnswer } from './api.ts'
import { coverageStrip } from './coverage-strip.ts'
import { formatCount, formatMoment, formatRate } from './format.ts'
import { bucketOf, filterParameters, navigate, type PageContext, rangeParameters, sensorNames } from './page-context.ts'
import { type BucketSeconds, chooseBucket, type TimeRange, zoomRange } from './range.ts'
import { Read } from './read.ts'
import { STRINGS } from './strings.ts'
import { changeView, columnDoc, downloads, emptyPanel, number, readState, scrollBox, segments } from './table-parts.ts'
import type { ChartData } from './traffic-chart.ts'
import './traffic-chart.ts'

interface TrafficRead {
  readonly context: PageContext
  readonly bucketSeconds: BucketSeconds
  readonly traffic: Answer<'traffic'>
  readonly coverage: Answer<'coverage'>
}

/** Traffic over time with its coverage strip: the figure of the home page and of a port page. */
class TrafficFigure extends LitElement {
  static override properties = { context: { attribute: false }, name: {}, tableOpen: { state: true } }
  declare context: PageContext
  declare name: string
  declare tableOpen: boolean
  private readonly read = new Read<TrafficRead>(this)
  private chart: { of: TrafficRead; sensors: readonly string[]; name: string; data: ChartData } | null = null

  constructor() {
    super()
    this.name = ''
    this.tableOpen = false
  }

  protected override createRenderRoot(): HTMLElement {
    return this
  }

  private get trafficParameters(): QueryParameters<'traffic'> {
    const { context } = this
    const bucket = String(bucketOf(context))
    return { ...rangeParameters(context.range), ...filterParameters(context.view), bucket, by: context.view.by }
  }

  private get coverageParameters(): QueryParameters<'coverage'> {
    const { context } = this
    const sensor = context.view.filters.sensor.join(',')
    return { ...rangeParameters(context.range), ...(sensor ? { sensor } : {}), bucket: String(bucketOf(context)) }
  }

  protected override willUpdate(): void {
    const { context, trafficParameters: traffic, coverageParameters: coverage } = this
    const bucketSeconds = bucketOf(context)
    this.read.run(answerUrl('traffic', traffic), context.revision, async signal => {
      const [rows, listened] = await Promise.all([
        fetchAnswer('traffic', traffic, signal),
        fetchAnswer('coverage', coverage, signal),
      ])
      return { context, bucketSeconds, traffic: rows, coverage: listened }
    })
  }

  /** The chart of an answer as it was asked; the measure alone may change without asking again. */
  private chartOf(read: TrafficRead, sensors: readonly string[]): ChartData {
    const { measure } = this.context.view
    const old = this.chart
    if (old?.of === read && old.data.measure === measure && old.name === this.name && sameList(old.sensors, sensors)) {
      return old.data
    }
    const { range, view } = read.context
    const { bucketSeconds } = read
    const classes = view.filters.class.length > 0 ? view.filters.class : TRAFFIC_CLASSES
    const aligned = alignTraffic(read.traffic.rows, read.coverage.rows, {
      range,
      bucketSeconds,
      measure,
      names: view.by === 'class' ? classes : view.by === 'sensor' ? sensors : [],
      bySensor: view.by === 'sensor',
    })
    const cells = coverageBySensor(read.coverage.rows, range, bucketSeconds)
    const listening = listeningCounts(
      sensors.map(sensor => cells.get(sensor) ?? []),
      aligned.time.length,
    )
    const now = Date.now() / 1000
    const expected = expectedCounts(
      [...this.countable(sensors, range, bucketSeconds, now).values()],
      aligned.time.length,
    )
    const unit = measure === 'rate' ? STRINGS.units.rate : STRINGS.units[measure](STRINGS.bucketNames[bucketSeconds]!)
    const data: ChartData = {
      name: this.name,
      unit,
      measure,
      range,
      bucketSeconds,
      aligned,
      labels: view.by === 'class' ? STRINGS.classNames : {},
      listening,
      expected,
      now,
    }
    this.chart = { of: read, sensors, name: this.name, data }
    return data
  }

  private countable(
    sensors: readonly string[],
    range: TimeRange,
    bucketSeconds: BucketSeconds,
    now: number,
  ): Map<string, number[]> {
    const begins = beginningsOf(this.context.sensors)
    return new Map(sensors.map(name => [name, countableSeconds(range, bucketSeconds, begins.get(name), now)]))
  }

  private zoom(event: CustomEvent<{ since: number; until: number }>): void {
    const { context } = this
    const zoomed = zoomRange(context.range, event.detail.since, event.detail.until, bucketOf(context))
    if (!zoomed || (zoomed.since === context.range.since && zoomed.until === context.range.until)) return
    // Hours are asked for as soon as they are few enough to see.
    const bucket = chooseBucket(zoomed, 'auto') === 3600 ? 'auto' : context.view.bucket
    navigate({ ...context.view, range: zoomed, bucket }, { zoomedFrom: context.view.range })
  }

  private zoomOut(): void {
    window.dispatchEvent(new Event('hirundo-zoom-out'))
  }

  protected override render(): TemplateResult {
    const { context } = this
    const { view } = context
    const bucket = String(bucketOf(context)) as '3600' | '86400'
    const canChooseDays = chooseBucket(context.range, 86_400) === 86_400
    return html`<figure class="panel" aria-label=${this.name}>
      <figcaption class="panel-head">
        <h2>${this.name}</h2>
        <div class="panel-tools">
          ${segments('measure', STRINGS.measureTitle, STRINGS.measures, view.measure, measure => changeView(context, { measure }))}
          ${segments('by', STRINGS.groupingTitle, this.groupings(), view.by, by => changeView(context, { by }))}
          ${
            canChooseDays
              ? segments(
                  'bucket',
                  STRINGS.bucketTitle,
                  STRINGS.buckets as Record<'3600' | '86400', string>,
                  bucket,
                  choice => changeView(context, { bucket: Number(choice) as BucketSeconds }),
                )
              : nothing
          }
        </div>
      </figcaption>
      <div class="chart-space">${readState(this.read, 8, read => this.content(read))}</div>
    </figure>`
  }

  /** Protocol says nothing new on the page of one port. */
  private groupings(): Record<'class' | 'protocol' | 'sensor', string> {
    const { class: byClass, protocol, sensor } = STRINGS.groupings
    if (this.context.view.page.name === 'port')
      return { class: byClass, sensor } as Record<'class' | 'protocol' | 'sensor', string>
    return { class: byClass, protocol, sensor }
  }

  private content(read: TrafficRead): TemplateResult {
    const sensors = sensorNames(this.context)
    const chart = this.chartOf(read, sensors)
    const isEmpty = read.traffic.rows.every(row => row.packet_count === 0)
    const cells = coverageBySensor(read.coverage.rows, chart.range, chart.bucketSeconds)
    const bucketSeconds = read.bucketSeconds
    const countable = this.countable(sensors, chart.range, bucketSeconds, chart.now)
    const strip = coverageStrip(sensors, cells, countable, chart.range, bucketSeconds)
    const hasGaps = chart.listening.some((count, index) => count < chart.expected[index]!)
    return html`
      ${isEmpty ? emptyPanel(this.context) : html`<traffic-chart .chart=${chart} @zoom=${this.zoom} @zoom-out=${this.zoomOut}></traffic-chart>`}
      ${strip}
      ${hasGaps ? html`<p class="note hatch-note"><span class="hatch-sample" aria-hidden="true"></span>${STRINGS.hatched}</p>` : nothing}
      <div class="panel-foot">
        <details @toggle=${(event: Event) => {
          this.tableOpen = (event.target as HTMLDetailsElement).open
        }}>
          <summary>${STRINGS.tableOf(this.name)}</summary>
          ${this.tableOpen ? this.table(chart) : nothing}
        </details>
        <details class="measured">
          <summary>${STRINGS.measured}</summary>
          <dl>
            <dt>${STRINGS.measures.rate}</dt><dd>${columnDoc('traffic', 'packets_per_addr_day')}</dd>
            <dt>${STRINGS.measures.packets}</dt><dd>${columnDoc('traffic', 'packet_count')}</dd>
            <dt>${STRINGS.measures.sources}</dt><dd>${columnDoc('traffic', 'src_addr_unique_count')}</dd>
            <dt>${STRINGS.columns.coverage}</dt><dd>${columnDoc('coverage', 'coverage')}</dd>
          </dl>
        </details>
        ${downloads('traffic', this.trafficParameters, this.name, STRINGS.trafficShort)}
        ${downloads('coverage', this.coverageParameters, STRINGS.coverageTitle, STRINGS.columns.coverage)}
      </div>`
  }

  private table(chart: ChartData): TemplateResult {
    const { aligned, bucketSeconds, labels, listening, expected, measure } = chart
    const format = measure === 'rate' ? formatRate : formatCount
    return scrollBox(
      this.name,
      html`<table>
        <caption>${this.name}, ${chart.unit}</caption>
        <thead><tr>
          <th scope="col">${STRINGS.time}</th>
          ${aligned.series.map(({ name }) => html`<th scope="col" class="number">${labels[name] ?? name}</th>`)}
          <th scope="col" class="number">${STRINGS.sensorsTitle}</th>
        </tr></thead>
        <tbody>${aligned.time.map(
          (time, index) => html`<tr>
            <th scope="row">${formatMoment(time, bucketSeconds)}</th>
            ${aligned.series.map(({ values }) => html`<td class="number">${number(values[index]!, format)}</td>`)}
            <td class="number">${expected[index] === 0 ? STRINGS.none : listening[index]}</td>
          </tr>`,
        )}</tbody>
      </table>`,
    )
  }
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index])
}

customElements.define('traffic-figure', TrafficFigure)
