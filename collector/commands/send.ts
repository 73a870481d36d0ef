import type { Command, CommandArguments } from '../../schemas/command.ts'
import { EXIT_STATUS, TelescopeError } from '../../schemas/errors.ts'
import { parseHubUrl } from '../hub-request.ts'
import { readIdentity } from '../identity.ts'
import { sendSpool } from '../send.ts'
import { type CaptureSendRequest, sendCaptures } from '../send-captures.ts'
import { requiredOption } from './required-option.ts'
import { warnOfPlainHttp } from './warn-of-plain-http.ts'

/** A hub counts within seconds; a busy one may take longer, and the receipts say so. */
const FOLLOW_MS = 10_000

export const command: Command = {
  summary: 'sends batches or captures to the hub',
  usage: `hirundo send --spool DIR --hub URL --identity FILE [--watch]
hirundo send CAPTURE... --hub URL --identity FILE [--sensor ID] [--wait]

Sends the batches in DIR (the folder that hirundo collect --out fills) to the hub, oldest first, each compressed with
gzip. A batch is removed when its receipt is in DIR/receipts, under the name of the batch; the sha256 inside is that of
the bytes as sent, by which the hub knows it. What the hub refuses at once goes to DIR/refused with the reason; what it finds wrong when
it counts is asked for at the end, for some seconds, or meanwhile with --watch, and kept in DIR/receipts. Batches are
numbered (DIR/sequence.json), so that the hub sees what never came. Safe to run for ever and from cron; of two at once
the second leaves the spool to the first.

Or sends raw captures, plain or compressed, and prints what became of each. What is cut off goes on where it was, also
when the command is run again: the hub knows the file by its SHA-256.

  --spool DIR       folder with batches
  --hub URL         address of the hub, such as https://hub.example
  --identity FILE   made by hirundo sensor init and enrolled: requests are signed, and only receipts that the hub has
                    signed count; or JSON with "sensor" and "token": hirundo token create --sensor ID --json > FILE.
                    Mode 600
  --watch           keep running: wait for new batches, for a DIR that is not there yet, and for the hub when it
                    does not answer
  --sensor ID       the sensor that the captures are of, when the token is bound to none
  --wait            wait until the hub has counted or refused each capture

Exit status: 0 the spool is empty, all captures are received (with --wait: counted); 3 a batch or capture was refused or is not
counted; 1 the hub could not be reached, everything stays in place; 2 wrong usage, or a key or token that the hub does not take.`,
  options: {
    spool: { type: 'string' },
    hub: { type: 'string' },
    identity: { type: 'string' },
    watch: { type: 'boolean', default: false },
    sensor: { type: 'string' },
    wait: { type: 'boolean', default: false },
  },
  async run({ values, positionals }) {
    checkUsage(values, positionals)
    const hub = parseHubUrl(requiredOption('send', values, 'hub'))
    const identity = readIdentity(requiredOption('send', values, 'identity'))
    const stop = new AbortController()
    const abort = (): void => stop.abort()
    process.once('SIGINT', abort)
    process.once('SIGTERM', abort)
    try {
      const note = (line: string): void => void process.stderr.write(`hirundo: ${line}\n`)
      if (identity.key === undefined) warnOfPlainHttp(hub, 'the token')
      const common = { hub, identity, signal: stop.signal, note }
      if (positionals.length > 0) return await runCaptures(positionals, values, common)
      const spool = requiredOption('send', values, 'spool')
      const watch = values['watch'] === true
      const summary = await sendSpool({ spool, watch, followMs: watch ? 0 : FOLLOW_MS, ...common })
      const { sent, refused, waiting, followed } = summary
      const known = followed ? `; ${followed.counted} counted, ${followed.wrong} not, ${followed.open} not yet` : ''
      process.stdout.write(
        `${sent} ${sent === 1 ? 'batch' : 'batches'} sent, ${refused} refused, ${waiting} waiting${sent > 0 ? known : ''}\n`,
      )
      return refused > 0 || (followed?.wrong ?? 0) > 0 ? EXIT_STATUS.input : 0
    } finally {
      process.off('SIGINT', abort)
      process.off('SIGTERM', abort)
    }
  },
}

async function runCaptures(
  paths: readonly string[],
  values: CommandArguments['values'],
  common: Pick<CaptureSendRequest, 'hub' | 'identity' | 'signal' | 'note'>,
): Promise<number> {
  const print = (line: string): void => void process.stdout.write(`${line}\n`)
  const sensor = values['sensor'] === undefined ? {} : { sensor: String(values['sensor']) }
  try {
    const { refused } = await sendCaptures({ paths, wait: values['wait'] === true, print, ...sensor, ...common })
    return refused > 0 ? EXIT_STATUS.input : 0
  } catch (error) {
    if (!common.signal.aborted) throw error
    common.note('send: stopped; run it again to go on')
    return EXIT_STATUS.operating
  }
}

/** Batches wait in a spool, captures are named: what belongs to the one means nothing for the other. */
function checkUsage(values: CommandArguments['values'], captures: readonly string[]): void {
  const wrong = captures.length > 0 ? ['spool', 'watch'] : ['sensor', 'wait']
  const given = wrong.find(name => values[name] !== undefined && values[name] !== false)
  if (given === undefined) return
  const what = captures.length > 0 ? `with the capture "${captures[0]}"` : 'without a capture'
  throw new TelescopeError('USAGE', `send: --${given} is not expected ${what}`)
}
