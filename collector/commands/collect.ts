import type { CaptureSummary, CollectSummary } from '../../schemas/batch.ts'
import type { Command, CommandArguments } from '../../schemas/command.ts'
import { EXIT_STATUS, TelescopeError } from '../../schemas/errors.ts'
import { MICROSECONDS, parseTime } from '../../schemas/time.ts'
import type { CollectRequest } from '../collect.ts'
import type { DeclaredSpan } from '../coverage-recorder.ts'
import { DECODE_OPTIONS, DECODE_USAGE, decodeOptions } from '../decode-options.ts'
import { formatCount } from '../progress.ts'

export const command: Command = {
  summary: 'turns captures into batches of flows',
  usage: `hirundo collect CAPTURE... --sensor ID --telescope CIDR[,CIDR...] --out DIR [--key FILE] [--json]
hirundo collect FILE --follow ...        the same for a file that is being written
hirundo collect DIR --watch ...          the same for a directory into which captures are rotated

Reads captures and leaves batches in DIR, the spool that hirundo send empties. CAPTURE is a file, a directory or -
(standard input: tcpdump -w - | hirundo collect - ...), pcap or pcapng, plain or gzip. The same packets give the same
batches, however they are cut into files. Ctrl-C ends standard input: it is read to its end, for 2 s at most (a second
Ctrl-C: no further), and what was read is written.

  --sensor ID            name of the sensor: lower-case letters, digits, hyphens
  --telescope CIDR,...   the dark prefixes of the sensor; packets for other addresses are counted and dropped
  --out DIR              folder for the batches; made when missing
  --key FILE             key that hides destination addresses, 64 hexadecimal digits, mode 600; made when missing.
                         Default: DIR/ID.key
  --telescope-epoch N    number of the sensor's present prefixes and key, as the hub counts them (default 1)
  --follow               goes on when the file grows, and with the file that takes its name when it is replaced
  --watch                goes on when files in the directory grow and when new ones come (tcpdump -G, -C, -z gzip)
  --batch-seconds N      capture time of one batch (default 86400; with --follow and --watch 300)
  --listened-since TIME  when the sensor listened, if you know better than the packets; both or none
  --listened-until TIME
${DECODE_USAGE}
  --json                 prints one JSON object instead of text

--follow and --watch run until a signal and may be killed at any moment: DIR/ID.state.json says how far each capture was
read, so that the next start goes on from there and counts each packet once. Leave files where they are until their
packets are in a batch: for --batch-seconds, or twice that when nothing more comes.

Exit status: 0 all read; 3 something in the input was unreadable or cut short (what could be read is kept); 2 wrong
usage; 1 a failure of the machine or of Hirundo.`,
  options: {
    sensor: { type: 'string' },
    telescope: { type: 'string' },
    out: { type: 'string' },
    key: { type: 'string' },
    'telescope-epoch': { type: 'string', default: '1' },
    'batch-seconds': { type: 'string' },
    follow: { type: 'boolean', default: false },
    watch: { type: 'boolean', default: false },
    'listened-since': { type: 'string' },
    'listened-until': { type: 'string' },
    ...DECODE_OPTIONS,
    json: { type: 'boolean', default: false },
  },
  async run({ values, positionals }) {
    if (positionals.length === 0) throw new TelescopeError('USAGE', 'collect: no CAPTURE given')
    const mode = liveMode(values, positionals)
    const batchSeconds = mode === null ? BATCH_SECONDS : LIVE_BATCH_SECONDS
    const request = {
      captures: positionals,
      sensor: required(values, 'sensor'),
      telescope: required(values, 'telescope'),
      telescopeEpoch: integer(values, 'telescope-epoch', 1, 65_535),
      out: required(values, 'out'),
      keyPath: values['key'] === undefined ? null : String(values['key']),
      batchSeconds: integer({ 'batch-seconds': batchSeconds, ...values }, 'batch-seconds', 60, 31 * 86_400),
      declared: declaredSpan(values),
      decodeOptions: decodeOptions(values, 'collect'),
      note: (line: string) => void process.stderr.write(`hirundo: ${line}\n`),
    }
    // Loaded here, so that help and wrong usage answer at once.
    const summary = await collectBy(mode, request)
    process.stdout.write(values['json'] === true ? `${JSON.stringify(summary)}\n` : summaryText(summary))
    return summary.captures.some(capture => capture.error !== null) ? EXIT_STATUS.input : 0
  },
}

const BATCH_SECONDS = '86400'
/** Short enough for the page to be up to date, long enough for a batch to be worth its way. */
const LIVE_BATCH_SECONDS = '300'

type LiveMode = 'follow' | 'watch'

async function collectBy(mode: LiveMode | null, request: CollectRequest): Promise<CollectSummary> {
  if (mode === null) return await (await import('../collect.ts')).collect(request)
  const { collectLive } = await import('../collect-live.ts')
  return await collectLive({ ...request, path: request.captures[0]!, mode })
}

/** @returns null to read to the end and no further */
function liveMode(values: Values, captures: readonly string[]): LiveMode | null {
  const mode = values['follow'] === true ? 'follow' : values['watch'] === true ? 'watch' : null
  if (mode === null) return null
  if (values['follow'] === values['watch']) throw new TelescopeError('USAGE', 'collect: --follow or --watch, not both')
  if (captures.length > 1)
    throw new TelescopeError('USAGE', `collect: --${mode} takes one CAPTURE, not ${captures.length}`)
  if (captures[0] === '-') {
    throw new TelescopeError('USAGE', `collect: standard input needs no --${mode}: it is read until it ends`)
  }
  if (values['listened-since'] !== undefined || values['listened-until'] !== undefined) {
    throw new TelescopeError(
      'USAGE',
      `collect: --listened-since and --listened-until are for captures that are complete, not for --${mode}`,
    )
  }
  return mode
}

type Values = CommandArguments['values']

function required(values: Values, name: string): string {
  const value = values[name]
  if (value === undefined || value === '') throw new TelescopeError('USAGE', `collect: --${name} is missing`)
  return String(value)
}

function integer(values: Values, name: string, minimum: number, maximum: number): number {
  const text = String(values[name])
  const value = Number(text)
  if (!/^\d{1,9}$/.test(text) || value < minimum || value > maximum) {
    throw new TelescopeError('USAGE', `collect: --${name} "${text}" is not a number from ${minimum} to ${maximum}`)
  }
  return value
}

function declaredSpan(values: Values): DeclaredSpan | null {
  const since = values['listened-since']
  const until = values['listened-until']
  if (since === undefined && until === undefined) return null
  if (since === undefined || until === undefined) {
    throw new TelescopeError('USAGE', 'collect: --listened-since and --listened-until come together')
  }
  const from = Math.round(parseTime(String(since)) * MICROSECONDS)
  const to = Math.round(parseTime(String(until)) * MICROSECONDS)
  if (from >= to) throw new TelescopeError('USAGE', `collect: listened until "${until}" is not after since "${since}"`)
  return { from, to }
}

function summaryText(summary: CollectSummary): string {
  const lines = summary.captures.flatMap(captureLines)
  const rate = (summary.packets_per_second / 1e6).toFixed(2)
  lines.push(
    `${formatCount(summary.flows)} flows in ${summary.batches} batches, ${(summary.bytes_read / 1e6).toFixed(1)} MB read in ${summary.seconds.toFixed(2)} s, ${rate} M packets/s`,
  )
  return `${lines.join('\n')}\n`
}

function captureLines(capture: CaptureSummary): string[] {
  const lines = [
    `${capture.path}: ${capture.format ?? 'no capture'}, ${formatCount(capture.packets_read)} packets read, ${formatCount(capture.packets_kept)} kept`,
  ]
  if (capture.first_packet !== null) lines.push(`  ${capture.first_packet} to ${capture.last_packet}`)
  for (const [reason, count] of Object.entries(capture.drops)) lines.push(`  ${formatCount(count)} dropped: ${reason}`)
  if (capture.error) {
    const place = capture.error.offset === null ? '' : ` (byte ${formatCount(capture.error.offset)})`
    lines.push(`  ${capture.error.message}${place} [${capture.error.code}]`)
  }
  return lines
}
