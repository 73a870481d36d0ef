import { html, LitElement, nothing, type TemplateResult } from 'lit'
import type { Answer, QueryParameters } from '../../schemas/api.ts'
import type { SensorHealth } from '../../schemas/sensor-health.ts'
import { answerUrl } from './api.ts'
import { formatRange, formatRate, formatShare } from './format.ts'
import { filterParameters, type PageContext, rangeParameters } from './page-context.ts'
import { formatPort } from './port-text.ts'
import { economiesTable, fetchRanking, filterLink, portsTable, type Ranking } from './rank-tables.ts'
import { Read } from './read.ts'
import { RISING_FACTOR_MIN, RISING_PACKETS_MIN } from './rising.ts'
import { comparedClass, fetchRising, type Rising } from './rising-read.ts'
import { fetchSensorHealth } from './sensor-health-read.ts'
import { momentText, sensorState, sensorTable } from './sensor-table.ts'
import { STRINGS } from './strings.ts'
import { readState } from './table-parts.ts'
import './traffic-figure.ts'
import { formatView, viewOf } from './url-state.ts'
import { growthText, leftOutText, noBaselineText, verdictText } from './verdict-text.ts'

/** A sensor falls silent without anything being counted, so its health is read by the clock. */
const HEALTH_MILLISECONDS = 60_000
/** Silent sensors that are named; the table has all. */
const SILENT_NAMED_MAX = 5

/** What is rising, only here or everywhere, and are all sensors reporting. */
class HomePage extends LitElement {
  static override properties = { context: { attribute: false }, sensors: { attribute: false } }
  declare context: PageContext
  /** The app reads the sensors, since filters need their names as well. */
  declare sensors: Read<Answer<'sensors'>>
  private readonly ports = new Read<Ranking<'ports'>>(this)
  private readonly economies = new Read<Ranking<'economies'>>(this)
  private readonly rising = new Read<Rising>(this)
  private readonly health = new Read<readonly SensorHealth[]>(this)

  protected override createRenderRoot(): HTMLElement {
    return this
  }

  protected override willUpdate(): void {
    const { context } = this
    const { view } = context
    const ranked: QueryParameters<'ports'> & QueryParameters<'economies'> = {
      ...rangeParameters(context.range),
      ...filterParameters(view),
      compare: view.compare,
      limit: String(view.rows),
    }
    this.ports.run(answerUrl('ports', ranked), context.revision, signal => fetchRanking('ports', ranked, signal))
    this.economies.run(answerUrl('economies', ranked), context.revision, signal =>
      fetchRanking('economies', ranked, signal),
    )
    this.health.run('sensor-health', Math.floor(Date.now() / HEALTH_MILLISECONDS), signal =>
      fetchSensorHealth(null, signal),
    )
    const portsRead = this.ports.done
    const { compare: _compare, limit: _limit, ...asked } = ranked
    this.rising.run(answerUrl('ports', asked), context.revision, async signal => {
      // A dozen small questions: the chart and the tables go first.
      await portsRead
      signal.throwIfAborted()
      return await fetchRising(context, signal)
    })
  }

  protected override render(): TemplateResult {
    const { context } = this
    const period = this.rising.value?.period
    return html`
      <h1 tabindex="-1">${STRINGS.homeTitle} <small>${formatRange(context.range)} ${STRINGS.utc}</small></h1>
      <div class="answers">
        <section class="panel" aria-labelledby="rising-title">
          <h2 id="rising-title">${STRINGS.risingTitle}</h2>
          ${readState(this.rising, 5, rising => this.risingList(rising))}
        </section>
        <section class="panel" aria-labelledby="reporting-title">
          <h2 id="reporting-title">${STRINGS.reportingTitle}</h2>
          ${this.silent()}
          ${readState(this.sensors, 3, sensors => this.reporting(sensors))}
        </section>
      </div>
      <traffic-figure .context=${context} name=${STRINGS.chartHome[context.view.by]}></traffic-figure>
      <div class="tables">
        <section class="panel" aria-labelledby="ports-title">
          <h2 id="ports-title">${STRINGS.portsTitle}</h2>
          ${readState(this.ports, context.view.rows + 1, read => portsTable(context, read, period))}
        </section>
        <section class="panel" aria-labelledby="economies-title">
          <h2 id="economies-title">${STRINGS.economiesTitle}</h2>
          ${readState(this.economies, context.view.rows + 1, read => economiesTable(context, STRINGS.economiesTitle, read, period))}
        </section>
      </div>
      <section class="panel" aria-labelledby="sensors-title">
        <h2 id="sensors-title">${STRINGS.sensorsTitle}</h2>
        ${readState(this.sensors, 7, sensors => sensorTable(context, sensors, rangeParameters(context.range)))}
      </section>`
  }

  private risingList(rising: Rising): TemplateResult {
    const { context } = this
    const { sensors, leftOut } = rising.period
    if (sensors.length === 0) return html`<p>${noBaselineText(context)}</p>`
    const of = html`<p class="quiet">${STRINGS.risingOf(comparedClass(context).replaceAll(',', ', '))}</p>`
    const list =
      rising.ports.length === 0
        ? html`<p>${STRINGS.risingNone(RISING_PACKETS_MIN, RISING_FACTOR_MIN)}</p>`
        : html`<ol class="rising">${rising.ports.map(({ row, verdict, now, before }) => {
            const link = formatView(
              viewOf({ name: 'port', protocol: row.protocol, port: row.service_port }, context.view),
            )
            return html`<li>
              <a href=${link}>${formatPort(row.protocol, row.service_port)}</a>
              <span class="service">${row.service ?? ''}</span>
              <b class="growth">${growthText(now, before)}</b>
              <span>${STRINGS.risingRates(formatRate(before), formatRate(now))}</span>
              ${verdict ? html`<span class="verdict ${verdict.kind}">${verdictText(verdict)}</span>` : ''}
            </li>`
          })}</ol>`
    const names = leftOut.map(({ sensor }) => sensor)
    return html`${of}${list}${leftOut.length > 0 ? html`<p class="note">${leftOutText(names, leftOut)}</p>` : ''}<details class="measured"><summary>${STRINGS.measured}</summary><p>${STRINGS.risingHow(RISING_PACKETS_MIN, RISING_FACTOR_MIN)}</p></details>`
  }

  /** Sensors that are silent now, whatever the range shown. */
  private silent(): TemplateResult | typeof nothing {
    // In a demo nobody goes on sending.
    const sensors = this.context.status.demo === null ? (this.health.value ?? []) : []
    const silent = sensors.filter(({ silent_since }) => silent_since !== null).map(({ sensor }) => sensor)
    if (silent.length === 0) return nothing
    const names = silent.slice(0, SILENT_NAMED_MAX)
    if (silent.length > names.length) names.push(STRINGS.silentMore(silent.length - names.length))
    const link = formatView(viewOf({ name: 'uploads' }, this.context.view))
    return html`<p class="problem silent">${STRINGS.silentSensors(silent.length, sensors.length, names.join(', '))} <a href=${link}>${STRINGS.silentLink}</a></p>`
  }

  private reporting(answer: Answer<'sensors'>): TemplateResult {
    const { rows } = answer
    if (rows.length === 0) return html`<p>${STRINGS.reportingNone}</p>`
    const now = Date.now() / 1000
    const { range } = this.context
    const states = rows.map(row => ({ row, state: sensorState(row, range, now) }))
    const begun = states.filter(({ state }) => state !== 'outside')
    const gaps = begun.filter(({ state }) => state !== 'full')
    const isOver = range.until <= now
    const whole = begun.length - gaps.length
    const answered =
      begun.length === 0
        ? STRINGS.reportingFuture
        : gaps.length === 0
          ? STRINGS.reportingAll(begun.length, isOver)
          : STRINGS.reportingSome(whole, begun.length, isOver)
    const uploads = rows.flatMap(row => row.last_upload_at ?? []).sort()
    const last = uploads.at(-1)
    return html`<p>${answered}</p>
      <p class="quiet">${last === undefined ? STRINGS.noUpload : STRINGS.lastUpload(momentText(last))}</p>
      <ul class="gaps">${gaps.map(
        ({ row, state }) => html`<li><a href=${filterLink(this.context, 'sensor', row.sensor)}>${row.sensor}</a>
          <span class="state ${state}">${STRINGS.sensorState[state]}</span>
          ${STRINGS.reportingGap(formatShare(row.coverage))}</li>`,
      )}</ul>`
  }
}

customElements.define('home-page', HomePage)
