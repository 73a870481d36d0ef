import type { Command, CommandArguments } from '../../schemas/command.ts'
import { EXIT_STATUS, TelescopeError } from '../../schemas/errors.ts'
import { parseHubUrl } from '../hub-request.ts'
import { readIdentity } from '../identity.ts'
import { sendSpool } from '../send.ts'

export const command: Command = {
  summary: 'sends batches to the hub',
  usage: `hirundo send --spool DIR --hub URL --identity FILE [--watch]

Sends the batches in DIR (the folder that hirundo collect --out fills) to the hub, oldest first, each compressed with
gzip. A batch is removed when its receipt is in DIR/receipts, under the name of the batch; the sha256 inside is that of
the bytes as sent, by which the hub knows it. What the hub refuses at once goes to DIR/refused with the reason; what it finds wrong when
it counts stands in its receipts (GET /api/v1/receipts). Safe to run for ever, from cron, and twice at once.

  --spool DIR       folder with batches
  --hub URL         address of the hub, such as https://hub.example
  --identity FILE   JSON with "sensor" and "token", mode 600: hirundo token create --sensor ID --json > FILE
  --watch           keep running: wait for new batches, for a DIR that is not there yet, and for the hub when it
                    does not answer

Exit status: 0 the spool is empty; 3 a batch was refused; 1 the hub could not be reached, all batches stay in place;
2 wrong usage, or a token that the hub does not take.`,
  options: {
    spool: { type: 'string' },
    hub: { type: 'string' },
    identity: { type: 'string' },
    watch: { type: 'boolean', default: false },
  },
  async run({ values, positionals }) {
    if (positionals.length > 0) throw new TelescopeError('USAGE', `send: "${positionals[0]}" is not expected`)
    const hub = parseHubUrl(required(values, 'hub'))
    const identity = readIdentity(required(values, 'identity'))
    const spool = required(values, 'spool')
    const stop = new AbortController()
    const abort = (): void => stop.abort()
    process.once('SIGINT', abort)
    process.once('SIGTERM', abort)
    try {
      const note = (line: string): void => void process.stderr.write(`hirundo: ${line}\n`)
      if (hub.protocol === 'http:' && !isLoopback(hub.hostname)) {
        note(`hub ${hub.origin}: without https anyone on the way can read the token`)
      }
      const summary = await sendSpool({
        spool,
        hub,
        identity,
        watch: values['watch'] === true,
        signal: stop.signal,
        note,
      })
      process.stdout.write(
        `${summary.sent} ${summary.sent === 1 ? 'batch' : 'batches'} sent, ${summary.refused} refused, ${summary.waiting} waiting\n`,
      )
      return summary.refused > 0 ? EXIT_STATUS.input : 0
    } finally {
      process.off('SIGINT', abort)
      process.off('SIGTERM', abort)
    }
  },
}

function required(values: CommandArguments['values'], name: string): string {
  const value = values[name]
  if (value === undefined || value === '') throw new TelescopeError('USAGE', `send: --${name} is missing`)
  return String(value)
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\./.test(hostname)
}
