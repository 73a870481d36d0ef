import { html, LitElement, nothing, type TemplateResult } from 'lit'
import type { Answer, QueryParameters, QueryRow } from '../../schemas/api.ts'
import { beginningsOf, countableSeconds, coverageBySensor, weightedRate } from './align.ts'
import { answerUrl, fetchAnswer } from './api.ts'
import { definitionButton } from './definition.ts'
import { formatCount, formatRange, formatRate, formatShare } from './format.ts'
import { bucketOf, filterParameters, type PageContext, rangeParameters, sensorNames } from './page-context.ts'
import { formatPort } from './port-text.ts'
import type { BucketSeconds } from './range.ts'
import { economiesTable, economyLink, fetchRanking, filterLink, type Ranking } from './rank-tables.ts'
import { Read } from './read.ts'
import { meanRates, rises } from './rising.ts'
import {
  comparedClass,
  fetchPeriods,
  fetchPortChange,
  leftOutOf,
  PORT_ROWS_MAX,
  type PortChange,
} from './rising-read.ts'
import { momentText } from './sensor-table.ts'
import { STRINGS } from './strings.ts'
import {
  columnDoc,
  comparisonNote,
  countCell,
  downloads,
  emptyPanel,
  head,
  measuredDetails,
  number,
  rateCell,
  readState,
  scrollBox,
  shareCell,
} from './table-parts.ts'
import './traffic-figure.ts'
import { growthText, noBaselineText, verdictText } from './verdict-text.ts'

/** Flows of one source that a link asks for; the most that the hub serves. */
const FLOWS_MAX = 1000

interface Figures {
  /** The port alone: sources, packets, rate. Null when it was not seen. */
  readonly own: QueryRow<'ports'> | null
  /** Its row among all ports: rank and share. Null when its rank is beyond PORT_ROWS_MAX. */
  readonly ranked: QueryRow<'ports'> | null
  readonly ranking: Ranking<'ports'>
}

interface AtSensors {
  readonly traffic: Answer<'traffic'>
  readonly coverage: Answer<'coverage'>
  readonly bucketSeconds: BucketSeconds
}

/** One service port: what it looks like, who sends it, where it is seen. */
class PortPage extends LitElement {
  static override properties = { context: { attribute: false } }
  declare context: PageContext
  private readonly figures = new Read<Figures>(this)
  private readonly change = new Read<PortChange>(this)
  private readonly sources = new Read<Answer<'sources'>>(this)
  private readonly economies = new Read<Ranking<'economies'>>(this)
  private readonly atSensors = new Read<AtSensors>(this)

  protected override createRenderRoot(): HTMLElement {
    return this
  }

  private get port(): { protocol: string; port: number } {
    const { page } = this.context.view
    return page.name === 'port' ? page : { protocol: 'tcp', port: 0 }
  }

  private get asked(): QueryParameters<'ports'> {
    return { ...rangeParameters(this.context.range), ...filterParameters(this.context.view) }
  }

  private get sourceParameters(): QueryParameters<'sources'> {
    return { ...this.asked, limit: String(this.context.view.rows) }
  }

  private get sensorParameters(): QueryParameters<'traffic'> {
    return { ...this.asked, bucket: String(bucketOf(this.context)), by: 'sensor' }
  }

  protected override willUpdate(): void {
    const { context, asked, sourceParameters, sensorParameters } = this
    const { compare, rows } = context.view
    const { revision } = context
    this.figures.run(`${answerUrl('ports', asked)}&${compare}`, revision, signal => this.readFigures(signal))
    // The figures and the chart go first.
    const figuresRead = this.figures.done
    this.change.run(answerUrl('traffic', asked), revision, async signal => {
      await figuresRead
      signal.throwIfAborted()
      const port = { protocol: this.port.protocol, service_port: this.port.port }
      return await fetchPortChange(context, port, await fetchPeriods(context, signal), signal)
    })
    this.sources.run(answerUrl('sources', sourceParameters), revision, signal =>
      fetchAnswer('sources', sourceParameters, signal),
    )
    const ranked = { ...asked, compare, limit: String(rows) }
    this.economies.run(answerUrl('economies', ranked), revision, signal => fetchRanking('economies', ranked, signal))
    this.atSensors.run(answerUrl('traffic', sensorParameters), revision, signal => this.readSensors(signal))
  }

  private async readFigures(signal: AbortSignal): Promise<Figures> {
    const { asked, context } = this
    const { port, protocol, ...others } = asked
    const everything = { ...others, compare: context.view.compare, limit: String(PORT_ROWS_MAX) }
    const [own, ranking] = await Promise.all([
      // On the sensors of the ranking: one figure has one value.
      fetchAnswer('ports', { ...asked, compare: context.view.compare, limit: '1' }, signal),
      fetchRanking('ports', everything, signal),
    ])
    const ranked = ranking.answer.rows.find(row => row.protocol === protocol && String(row.service_port) === port)
    return { own: own.rows[0] ?? null, ranked: ranked ?? null, ranking }
  }

  private async readSensors(signal: AbortSignal): Promise<AtSensors> {
    const { context, sensorParameters } = this
    const sensor = context.view.filters.sensor.join(',')
    const bucket = String(bucketOf(context))
    const [traffic, coverage] = await Promise.all([
      fetchAnswer('traffic', sensorParameters, signal),
      fetchAnswer('coverage', { ...rangeParameters(context.range), ...(sensor ? { sensor } : {}), bucket }, signal),
    ])
    return { traffic, coverage, bucketSeconds: bucketOf(context) }
  }

  protected override render(): TemplateResult {
    const { context } = this
    const { protocol, port } = this.port
    const name = formatPort(protocol, port)
    const service = this.figures.value?.own?.service ?? null
    return html`
      <h1 tabindex="-1">${name} ${service ? html`<span class="service">${service}</span>` : nothing} <small>${formatRange(context.range)} ${STRINGS.utc}</small></h1>
      <section class="panel port-figures" aria-label=${STRINGS.portFigures}>
        ${readState(this.figures, 4, figures => this.figureList(figures))}
      </section>
      <traffic-figure .context=${context} name="${name}: ${STRINGS.chartHome[context.view.by].toLowerCase()}"></traffic-figure>
      <section class="panel" aria-labelledby="sources-title">
        <h2 id="sources-title">${STRINGS.sourcesTitle}</h2>
        ${readState(this.sources, context.view.rows + 1, answer => this.sourcesTable(answer))}
      </section>
      <div class="tables halves">
        <section class="panel" aria-labelledby="economies-title">
          <h2 id="economies-title">${STRINGS.portEconomiesTitle}</h2>
          ${readState(this.economies, context.view.rows + 1, read => economiesTable(context, STRINGS.portEconomiesTitle, read, this.change.value?.period))}
        </section>
        <section class="panel" aria-labelledby="sensors-title">
          <h2 id="sensors-title">${STRINGS.portSensorsTitle}</h2>
          ${readState(this.atSensors, 7, read => this.sensorsTable(read))}
        </section>
      </div>`
  }

  private figureList({ own, ranked, ranking }: Figures): TemplateResult {
    if (own === null) return emptyPanel(this.context)
    const figure = (
      column: 'rank' | 'src_addr_unique_count' | 'packets_per_addr_day' | 'packet_count' | 'share' | 'mirai_share',
      value: unknown,
    ): TemplateResult =>
      html`<div><dt>${definitionButton(STRINGS.columns[column], columnDoc('ports', column))}</dt><dd>${value}</dd></div>`
    const was = ranked?.previous_rank ? html` <small>${STRINGS.rank.was(ranked.previous_rank)}</small>` : nothing
    return html`
      <dl class="figures">
        ${figure('rank', ranked ? html`${number(ranked.rank, formatCount)}${was}` : STRINGS.rankBeyond(PORT_ROWS_MAX))}
        ${figure('src_addr_unique_count', number(own.src_addr_unique_count, formatCount))}
        ${figure('packets_per_addr_day', number(own.packets_per_addr_day, formatRate))}
        ${figure('packet_count', number(own.packet_count, formatCount))}
        ${figure('share', ranked ? number(ranked.share, formatShare) : STRINGS.none)}
        ${figure('mirai_share', number(own.mirai_share, formatShare))}
      </dl>
      <div class="port-change">${readState(this.change, 1, change => this.changeLine(change))}</div>
      ${comparisonNote(ranking.answer.meta, ranking.parameters.compare, leftOutOf(this.change.value?.period, ranking.answer.meta))}
      <div class="panel-foot">
        ${measuredDetails('ports', ['rank', 'src_addr_unique_count', 'packets_per_addr_day', 'packet_count', 'share', 'mirai_share'], ranking.answer.meta, false)}
        ${downloads('ports', { ...this.asked, compare: this.context.view.compare, limit: '1' }, STRINGS.portFigures)}
      </div>`
  }

  private changeLine({ changes, verdict }: PortChange): TemplateResult {
    if (verdict === null) return html`<p>${noBaselineText(this.context)}</p>`
    const { now, before } = meanRates(changes)
    const of = STRINGS.risingOf(comparedClass(this.context).replaceAll(',', ', '))
    if (now === 0 && before === 0) return html`<p><span class="quiet">${STRINGS.steady}. ${of}</span></p>`
    return html`<p>
      <b class="growth">${growthText(now, before)}</b>
      ${STRINGS.risingRates(formatRate(before), formatRate(now))}
      ${rises(now, before) ? html`<span class="verdict ${verdict.kind}">${verdictText(verdict)}</span>` : html`<span class="quiet">${STRINGS.steady}.</span>`} <span class="quiet">${of}</span>
    </p>`
  }

  /** All that a source sent in the range, to whichever port. */
  private flowsLink(src: string): string {
    return answerUrl('flows', { ...rangeParameters(this.context.range), src, limit: String(FLOWS_MAX) })
  }

  private sourcesTable(answer: Answer<'sources'>): TemplateResult {
    const { context } = this
    if (answer.rows.length === 0) return emptyPanel(context)
    const columns = ['src_addr', 'economy', 'packet_count', 'tools', 'sensor_count', 'first_hour', 'last_hour'] as const
    return html`
      ${scrollBox(
        STRINGS.sourcesTitle,
        html`<table data-query="sources">
          <caption class="visually-hidden">${STRINGS.sourcesTitle}</caption>
          <thead><tr>${columns.map(column => head('sources', column, column === 'packet_count' || column === 'sensor_count' ? 'number' : 'text'))}</tr></thead>
          <tbody>${answer.rows.map(
            row => html`<tr>
              <th scope="row"><a href=${this.flowsLink(row.src_addr)} title=${STRINGS.flowsOf(row.src_addr)}><code>${row.src_addr}</code></a></th>
              <td>${economyLink(context, row.economy)}</td>
              ${countCell(row.packet_count)}
              <td>${row.tools === '' ? STRINGS.none : row.tools.split('|').map(tool => html`<span class="tag">${tool}</span>`)}</td>
              ${countCell(row.sensor_count)}
              <td>${momentText(row.first_hour)}</td>
              <td>${momentText(row.last_hour)}</td>
            </tr>`,
          )}</tbody>
        </table>`,
      )}
      <div class="panel-foot">
        ${measuredDetails('sources', columns, answer.meta, false)}
        <span class="count">${STRINGS.totalRows(formatCount(answer.rows.length), formatCount(answer.meta.total_rows))}</span>
        ${downloads('sources', this.sourceParameters, STRINGS.sourcesTitle)}
      </div>`
  }

  /** Sums of the buckets: packets add up, rates are weighted by how long each bucket was listened to. */
  private sensorsTable({ traffic, coverage, bucketSeconds }: AtSensors): TemplateResult {
    const { context } = this
    const { range } = context
    const cells = coverageBySensor(coverage.rows, range, bucketSeconds)
    const begins = beginningsOf(context.sensors)
    const now = Date.now() / 1000
    const all = traffic.rows.reduce((sum, row) => sum + row.packet_count, 0)
    const columns = ['sensor', 'packets_per_addr_day', 'packet_count', 'share', 'coverage'] as const
    const docOf = (column: (typeof columns)[number]): string =>
      column === 'share'
        ? columnDoc('ports', 'share')
        : column === 'packet_count'
          ? columnDoc('traffic', column)
          : columnDoc('sensors', column)
    return html`
      ${scrollBox(
        STRINGS.portSensorsTitle,
        html`<table data-query="port-sensors">
          <caption class="visually-hidden">${STRINGS.portSensorsTitle}</caption>
          <thead><tr>${columns.map(column => html`<th scope="col" class=${column === 'sensor' ? 'text' : 'number'}>${definitionButton(STRINGS.columns[column], docOf(column))}</th>`)}</tr></thead>
          <tbody>${sensorNames(context).map(sensor => {
            const rows = traffic.rows.filter(row => row.series === sensor)
            const own = cells.get(sensor) ?? []
            const packets = rows.reduce((sum, row) => sum + row.packet_count, 0)
            const countable = countableSeconds(range, bucketSeconds, begins.get(sensor), now)
            const listened = context.sensors.find(row => row.sensor === sensor)?.coverage ?? 0
            return html`<tr>
              <th scope="row"><a href=${filterLink(context, 'sensor', sensor)}>${sensor}</a></th>
              ${rateCell(weightedRate(rows, own, countable, range, bucketSeconds))}
              ${countCell(packets)}
              ${shareCell(all > 0 ? packets / all : 0)}
              ${shareCell(listened)}
            </tr>`
          })}</tbody>
        </table>`,
      )}
      <div class="panel-foot">${downloads('traffic', this.sensorParameters, STRINGS.portSensorsTitle)}</div>`
  }
}

customElements.define('port-page', PortPage)
