import { CLOCK_AHEAD_SECONDS_MAX, type CollectSummary, DAYS_PER_UPLOAD_MAX } from '../../schemas/batch.ts'
import type { Command, CommandArguments } from '../../schemas/command.ts'
import { EXIT_STATUS, TelescopeError } from '../../schemas/errors.ts'
import { DAY_SECONDS, MICROSECONDS, parseTime } from '../../schemas/time.ts'
import type { DeclaredSpan } from '../coverage-recorder.ts'
import { DECODE_OPTIONS, DECODE_USAGE, decodeOptions } from '../decode-options.ts'
import { pageStyle } from '../page-style.ts'
import { visibleJson } from '../visible-text.ts'

export const command: Command = {
  summary: 'turns captures into batches of flows',
  usage: `hirundo collect CAPTURE... --sensor ID --telescope CIDR[,CIDR...]|auto --out DIR [--key FILE] [--yes] [--json]
hirundo collect FILE --follow ...        the same for a file that is being written
hirundo collect DIR --watch ...          the same for a directory into which captures are rotated

Reads captures and leaves batches in DIR, the spool that hirundo send empties. CAPTURE is a file, a named pipe, a
directory or - (standard input: tcpdump -w - | hirundo collect - ...): pcap, pcapng or snoop, plain or compressed with
gzip, zstd or xz. The same packets give the same batches, however they are cut into files. Ctrl-C ends a pipe: it is
read to its end, for 2 s at most (a second Ctrl-C: no further), and what was read is written.

  --sensor ID            name of the sensor: lower-case letters, digits, hyphens
  --telescope CIDR,...   the dark prefixes of the sensor; packets for other addresses are counted and dropped.
                         auto: reads the captures once to find the likely ones, shows them, and asks; where there is
                         no terminal it prints the command with the prefixes named, and ends with 2
  --yes                  takes what auto finds without asking
  --out DIR              folder for the batches; made when missing
  --key FILE             key that hides destination addresses, 64 hexadecimal digits, mode 600; made when missing.
                         Default: DIR/ID.key
  --telescope-epoch N    number of the sensor's present prefixes and key, as the hub counts them (default 1)
  --follow               goes on when the file grows, and with the file that takes its name when it is replaced
  --watch                goes on when files in the directory grow and when new ones come (tcpdump -G, -C, -z gzip)
  --batch-seconds N      capture time of one batch (default 86400; with --follow and --watch 300)
  --listened-since TIME  when the sensor listened, if you know better than the packets; both or none
  --listened-until TIME  400 days at most, and not in the future
${DECODE_USAGE}
  --jobs N               threads that count plain pcap files of 64 MB and more (default 1, each takes
                         90 MB); the batches are the same, byte for byte
  --json                 prints one JSON object instead of text

--follow and --watch run until a signal and may be killed at any moment: DIR/ID.state.json says how far each capture was
read, so that the next start goes on from there and counts each packet once. Leave files where they are until their
packets are in a batch: for --batch-seconds, or twice that when nothing more comes.

Exit status: 0 all read; 3 something in the input was unreadable or cut short (what could be read is kept); 2 wrong
usage; 1 a failure of the machine or of Hirundo.`,
  options: {
    sensor: { type: 'string' },
    telescope: { type: 'string' },
    yes: { type: 'boolean', default: false },
    out: { type: 'string' },
    key: { type: 'string' },
    'telescope-epoch': { type: 'string', default: '1' },
    'batch-seconds': { type: 'string' },
    follow: { type: 'boolean', default: false },
    watch: { type: 'boolean', default: false },
    jobs: { type: 'string', default: '1' },
    'listened-since': { type: 'string' },
    'listened-until': { type: 'string' },
    ...DECODE_OPTIONS,
    json: { type: 'boolean', default: false },
  },
  async run({ values, positionals }) {
    if (positionals.length === 0) throw new TelescopeError('USAGE', 'collect: no CAPTURE given')
    const mode = liveMode(values, positionals)
    const request = {
      captures: positionals,
      sensor: required(values, 'sensor'),
      telescope: required(values, 'telescope'),
      telescopeEpoch: integer(values, 'telescope-epoch', 1, 65_535),
      out: required(values, 'out'),
      keyPath: values['key'] === undefined ? null : String(values['key']),
      batchSeconds: integer(
        { 'batch-seconds': BATCH_SECONDS[mode ?? 'once'], ...values },
        'batch-seconds',
        60,
        31 * 86_400,
      ),
      jobs: integer(values, 'jobs', 1, 64),
      declared: declaredSpan(values),
      decodeOptions: decodeOptions(values, 'collect'),
      note: (line: string) => void process.stderr.write(`hirundo: ${line}\n`),
    }
    // Loaded here, so that help and wrong usage answer at once.
    const { checkSensorId, collect } = await import('../collect.ts')
    checkSensorId(request.sensor)
    const telescope = request.telescope === 'auto' ? await findTelescope(values, request) : request.telescope
    const summary =
      mode === null
        ? await collect({ ...request, telescope })
        : await (await import('../collect-live.ts')).collectLive({ ...request, telescope, mode, path: positionals[0]! })
    process.stdout.write(await resultText(summary, values['json'] === true))
    return summary.captures.some(capture => capture.error !== null) ? EXIT_STATUS.input : 0
  },
}

/** Live: short enough for the page to be up to date, long enough for a batch to be worth its way. */
const BATCH_SECONDS = { once: '86400', follow: '300', watch: '300' } as const

/** @returns null to read to the end and no further */
function liveMode(values: Values, captures: readonly string[]): 'follow' | 'watch' | null {
  const mode = values['follow'] === true ? 'follow' : values['watch'] === true ? 'watch' : null
  if (mode === null) return null
  const isDeclared = values['listened-since'] !== undefined || values['listened-until'] !== undefined
  const mistakes: readonly (readonly [boolean, string])[] = [
    [values['follow'] === values['watch'], '--follow and --watch exclude each other'],
    [captures.length > 1, `--${mode} takes one CAPTURE, not ${captures.length}`],
    [captures[0] === '-', `standard input needs no --${mode}: it is read until it ends`],
    [isDeclared, `--listened-since and --listened-until are for captures that are complete, not for --${mode}`],
    [
      values['telescope'] === 'auto',
      `--telescope auto needs captures that are complete; with --${mode} name the prefixes`,
    ],
  ]
  const mistake = mistakes.find(([isMade]) => isMade)
  if (mistake) throw new TelescopeError('USAGE', `collect: ${mistake[1]}`)
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
  checkDeclared({ from, to }, String(until))
  return { from, to }
}

/** What a hub would refuse is said here, where it can still be mended. */
function checkDeclared({ from, to }: DeclaredSpan, until: string): void {
  const days = (microseconds: number): string => (microseconds / MICROSECONDS / DAY_SECONDS).toFixed(1)
  const ahead = to - Date.now() * 1000
  if (ahead > CLOCK_AHEAD_SECONDS_MAX * MICROSECONDS) {
    throw new TelescopeError(
      'USAGE',
      `collect: listened until "${until}" is ${days(ahead)} days ahead of this machine's clock, at most ${CLOCK_AHEAD_SECONDS_MAX / DAY_SECONDS} is taken; name a time that has passed, or set the clock`,
    )
  }
  if (to - from > DAYS_PER_UPLOAD_MAX * DAY_SECONDS * MICROSECONDS) {
    throw new TelescopeError(
      'USAGE',
      `collect: listened for ${days(to - from)} days, at most ${DAYS_PER_UPLOAD_MAX} are taken; collect the captures of each year by themselves`,
    )
  }
}

interface CapturesToRead {
  readonly captures: readonly string[]
  readonly decodeOptions: number
}

async function findTelescope(values: Values, { captures, decodeOptions }: CapturesToRead): Promise<string> {
  const { proposeTelescope } = await import('../telescope-proposal.ts')
  return await proposeTelescope({
    captures,
    decodeOptions,
    isAccepted: values['yes'] === true,
    wordsWith: telescope => commandWords({ ...values, telescope }, captures),
    style: pageStyle(process.stderr, process.env),
  })
}

/** The command as it was given; options that have their default are left out. */
function commandWords(values: Values, captures: readonly string[]): string[] {
  const words = ['hirundo', 'collect', ...captures]
  for (const [name, option] of Object.entries(command.options)) {
    const value = values[name]
    if (value === undefined || value === option.default) continue
    words.push(`--${name}`, ...(option.type === 'boolean' ? [] : [String(value)]))
  }
  return words
}

async function resultText(summary: CollectSummary, isJson: boolean): Promise<string> {
  if (isJson) return `${visibleJson(summary)}\n`
  const { collectText } = await import('../collect-text.ts')
  return collectText(summary, pageStyle(process.stdout, process.env))
}
