/** A sample of the text format of Prometheus. */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*'
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? ([Nn]a[Nn]|[+-]Inf|-?\\d[\\d.e+-]*)$`)
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y
const TYPES = ['counter', 'gauge', 'histogram', 'summary', 'untyped']

/**
 * Reads the text format 0.0.4 and refuses whatever its document or promtool does: lines of another shape, samples
 * without a type, types and samples twice, families that are torn apart, counters that do not end in _total, buckets
 * that fall or miss +Inf.
 */
export function readPrometheusText(text: string): Sample[] {
  if (!text.endsWith('\n')) throw new Error('the last line has no end')
  const types = new Map<string, string>()
  const seen = new Set<string>()
  const closed = new Set<string>()
  const samples: Sample[] = []
  let family = ''
  for (const line of text.split('\n')) {
    if (line === '') continue
    const comment = new RegExp(`^# (HELP|TYPE) (${NAME}) (.+)$`).exec(line)
    if (comment) {
      const [, kind, name, rest] = comment
      if (kind === 'TYPE') {
        if (types.has(name!) || !TYPES.includes(rest!)) throw new Error(`type twice or unknown: ${line}`)
        types.set(name!, rest!)
      }
      if (name !== family) closed.add(family)
      if (closed.has(name!)) throw new Error(`family ${name} is torn apart`)
      family = name!
      continue
    }
    const match = SAMPLE.exec(line)
    if (!match) throw new Error(`no sample: ${line}`)
    const [, name, labelText = '', value] = match
    const type = types.get(family)
    const suffixes =
      type === 'histogram' ? ['_bucket', '_sum', '_count'] : type === 'summary' ? ['', '_sum', '_count'] : ['']
    if (type === undefined || !suffixes.some(suffix => name === family + suffix)) {
      throw new Error(`sample outside its family ${family}: ${line}`)
    }
    if (type === 'counter' && !name!.endsWith('_total')) throw new Error(`counter without _total: ${line}`)
    const labels = readLabels(labelText)
    const identity = `${name} ${JSON.stringify(Object.entries(labels).sort())}`
    if (seen.has(identity)) throw new Error(`sample twice: ${line}`)
    seen.add(identity)
    samples.push({ name: name!, labels, value: Number(value!.replace('Inf', 'Infinity').replace(/nan/i, 'NaN')) })
  }
  checkBuckets(samples)
  return samples
}

function readLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {}
  for (LABEL.lastIndex = 0; LABEL.lastIndex < text.length; ) {
    const match = LABEL.exec(text)
    if (!match || Object.hasOwn(labels, match[1]!)) throw new Error(`no labels: ${text}`)
    labels[match[1]!] = match[2]!.replaceAll(/\\(.)/g, (_, letter: string) => (letter === 'n' ? '\n' : letter))
  }
  return labels
}

function checkBuckets(samples: readonly Sample[]): void {
  const series = new Map<string, Sample[]>()
  for (const sample of samples.filter(({ name }) => name.endsWith('_bucket'))) {
    const { le: _, ...others } = sample.labels
    const key = `${sample.name} ${JSON.stringify(others)}`
    series.set(key, [...(series.get(key) ?? []), sample])
  }
  for (const [key, buckets] of series) {
    const rises = buckets.every(({ value }, index) => index === 0 || value >= buckets[index - 1]!.value)
    if (!rises || buckets.at(-1)!.labels['le'] !== '+Inf') throw new Error(`buckets of ${key} are wrong`)
  }
}
