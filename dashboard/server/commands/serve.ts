import { BlockList, isIP } from 'node:net'
import type { Command, CommandArguments } from '../../../schemas/command.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { parseRetention } from '../../../schemas/retention.ts'
import { type Hub, startHub } from '../hub.ts'
import { commandLine, followCommand, uploadCommand } from '../instructions.ts'
import { hubLogger, LOG_LEVELS } from '../log.ts'
import { DATA_DEFAULT, portOption, textOption } from './options.ts'
import { askedToStop, runHub } from './run-hub.ts'

export const command: Command = {
  summary: 'run the hub',
  usage: `hirundo serve [--data DIR] [--host 127.0.0.1] [--port 8080] [--name HOST]... [--geography FILE]
              [--open-reading] [--remove-captures] [--keep CLASS=DAYS]... [--log LEVEL]

Prints the address on a line of its own when the hub is ready. Ctrl-C or SIGTERM ends it; what is received stays
received.

  --data DIR         everything of the hub lies there, default ${DATA_DEFAULT}
  --host ADDRESS     address to listen on. Others than loopback put tokens on the network in clear text: better leave
                     it, and forward from a proxy with TLS
  --port PORT        default 8080; 0 takes any free port
  --name HOST        host name by which a proxy forwards; may be given several times
  --geography FILE   table of economies: .mmdb, or .csv with prefix,economy; default: the one that comes with Hirundo
  --open-reading     whoever reaches the hub may read everything, without a token; only on loopback
  --remove-captures  remove raw captures once they are counted; by default they are kept in DIR/captures
  --keep CLASS=DAYS  remove captures, batches, flows or rollups after so many days; see hirundo retain --help
  --log LEVEL        ${LOG_LEVELS.join(', ')}; default warn. One JSON object a line on standard error`,
  options: {
    data: { type: 'string', default: DATA_DEFAULT },
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '8080' },
    name: { type: 'string', multiple: true },
    geography: { type: 'string' },
    'open-reading': { type: 'boolean', default: false },
    'remove-captures': { type: 'boolean', default: false },
    keep: { type: 'string', multiple: true },
    log: { type: 'string', default: 'warn' },
  },
  async run({ values, positionals }) {
    if (positionals.length > 0) throw new TelescopeError('USAGE', `serve takes no argument "${positionals[0]}"`)
    const host = textOption(values, 'host')
    const openReading = values['open-reading'] === true
    if (openReading && !isLoopback(host)) {
      throw new TelescopeError(
        'USAGE',
        `option --open-reading gives everything to whoever reaches ${host}; it works on loopback only`,
      )
    }
    const data = textOption(values, 'data')
    const stop = askedToStop()
    // All that the hub writes is for its own user: raw captures hold dark addresses.
    process.umask(0o077)
    const hub = await startHub({
      data,
      host,
      ports: [portOption(values, 'port')],
      geography: values['geography'] === undefined ? null : textOption(values, 'geography'),
      names: ((values['name'] ?? []) as string[]).map(name => name.toLowerCase()),
      openReading,
      keepCaptures: values['remove-captures'] !== true,
      retention: parseRetention((values['keep'] ?? []) as string[]),
      logger: hubLogger(textOption(values, 'log')),
    })
    process.stdout.write(introduction(hub, data, values, isLoopback(host)))
    await runHub(hub, stop)
    return 0
  },
}

function introduction(
  { url, signInToken }: Hub,
  data: string,
  values: CommandArguments['values'],
  loopback: boolean,
): string {
  const proxy = ((values['name'] ?? []) as string[])[0]
  const page = proxy === undefined ? url : `https://${proxy}`
  return `${url}/

sign in (until the hub stops):  ${page}/sign-in#${signInToken}
add a sensor:                   ${commandLine('sensor', 'add', 'ID', '--economy', 'CC', '--telescope', 'CIDR', '--data', data)}
make its token:                 ${commandLine('token', 'create', '--sensor', 'ID', '--data', data)}
upload a capture:               ${uploadCommand(page, '$TOKEN', 'FILE')}
what became of it:              ${followCommand(page, '$TOKEN', 'FILE')}
${loopback ? '' : '\nThis address is reachable from other machines, and without TLS tokens can be read on the way.\n'}
`
}

function isLoopback(host: string): boolean {
  if (host === 'localhost') return true
  const loopback = new BlockList()
  loopback.addSubnet('127.0.0.0', 8)
  loopback.addAddress('::1', 'ipv6')
  const family = isIP(host)
  return family !== 0 && loopback.check(host, family === 6 ? 'ipv6' : 'ipv4')
}
