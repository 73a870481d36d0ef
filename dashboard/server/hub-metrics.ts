import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/**
 * Figures of the hub for Prometheus. Labels are closed lists: kinds, codes, routes, statuses. Never a sensor, a name or
 * an address: whoever watches the machine need not know who sends to it.
 */

const COUNTERS = {
  hirundo_uploads_received_total: { help: 'Uploads that got a receipt.', labels: ['kind'] },
  hirundo_upload_bytes_total: { help: 'Bytes of uploads that got a receipt.', labels: ['kind'] },
  hirundo_uploads_refused_total: { help: 'Uploads that got no receipt.', labels: ['kind', 'code'] },
  hirundo_uploads_counted_total: {
    help: 'Uploads that were counted, and whether they added rows.',
    labels: ['outcome'],
  },
  hirundo_uploads_quarantined_total: { help: 'Uploads that were received and cannot be counted.', labels: ['code'] },
  hirundo_packets_counted_total: { help: 'Packets kept of uploads that were counted.', labels: [] },
} as const satisfies Record<string, { help: string; labels: readonly string[] }>

type CounterName = keyof typeof COUNTERS
type Labels<N extends CounterName> = Readonly<Record<(typeof COUNTERS)[N]['labels'][number], string>>

/** What is looked up when somebody asks. */
interface Readings {
  waiting(): Promise<{ readonly count: number; readonly oldest: string | null }>
  disk(): Promise<{ readonly free: number; readonly total: number }>
  parseChildRestarts(): number
  damagedLakeFiles(): Promise<number>
  unfinishedUploads(): number
}

export class HubMetrics {
  readonly #registry = new Registry()
  readonly #counters: Readonly<Record<CounterName, Counter>>
  readonly #groups: Histogram
  readonly #requests: Histogram
  readonly openUploads: Pick<Gauge, 'inc' | 'dec'>

  constructor(readings: Readings) {
    const registers = [this.#registry]
    // Memory, processor time, event-loop lag, open files, by their usual names.
    collectDefaultMetrics({ register: this.#registry })
    this.#counters = Object.fromEntries(
      Object.entries(COUNTERS).map(([name, { help, labels }]) => [
        name,
        new Counter({ name, help, labelNames: [...labels], registers }),
      ]),
    ) as Record<CounterName, Counter>
    this.#groups = new Histogram({
      name: 'hirundo_count_group_seconds',
      help: 'Time to commit a group of uploads to lake and rollups.',
      buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers,
    })
    this.#requests = new Histogram({
      name: 'hirundo_http_request_seconds',
      help: 'From the head of a request to the end of its answer.',
      labelNames: ['method', 'route', 'status'],
      buckets: [0.005, 0.02, 0.1, 0.3, 1, 5, 30, 300],
      registers,
    })
    this.openUploads = new Gauge({
      name: 'hirundo_uploads_open',
      help: 'Requests that bring an upload now.',
      registers,
    })
    gauge('hirundo_uploads_unfinished', 'Resumable uploads that were begun and are not complete.', async () =>
      readings.unfinishedUploads(),
    )
    gauge('hirundo_parse_child_restarts_total', 'Parsing processes that had to be started again.', async () =>
      readings.parseChildRestarts(),
    )
    gauge(
      'hirundo_lake_files_damaged',
      'Lake files found damaged since the start; `hirundo verify` looks at all.',
      () => readings.damagedLakeFiles(),
    )
    let waiting: ReturnType<Readings['waiting']>
    gauge('hirundo_uploads_waiting', 'Uploads received and not yet counted.', async () => {
      waiting = readings.waiting()
      return (await waiting).count
    })
    gauge('hirundo_uploads_waiting_oldest_seconds', 'Age of the oldest of them; 0 when there is none.', async () => {
      const { oldest } = await waiting
      return oldest === null ? 0 : Math.max(0, (Date.now() - Date.parse(oldest)) / 1000)
    })
    gauge('hirundo_disk_free_bytes', 'Free space where the data lies.', async () => (await readings.disk()).free)
    gauge('hirundo_disk_total_bytes', 'All space where the data lies.', async () => (await readings.disk()).total)

    function gauge(name: string, help: string, read: () => Promise<number>): void {
      new Gauge({
        name,
        help,
        registers,
        async collect() {
          this.set(await read())
        },
      })
    }
  }

  count<N extends CounterName>(name: N, labels: Labels<N>, by = 1): void {
    this.#counters[name].inc({ ...labels }, by)
  }

  groupCounted(seconds: number): void {
    this.#groups.observe(seconds)
  }

  /** @param route its pattern, never what was asked for */
  answered(method: string, route: string, status: number, seconds: number): void {
    this.#requests.observe({ method, route, status }, seconds)
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** The text format of Prometheus, version 0.0.4. */
  text(): Promise<string> {
    return this.#registry.metrics()
  }
}
