import type { Command } from '../../../schemas/command.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { LOG_FORMATS, LOG_LEVELS } from '../../../schemas/hub-config.ts'
import { parseRetention } from '../../../schemas/retention.ts'
import { type Hub, startHub } from '../hub.ts'
import { type HubSettings, isLoopback, readHubSettings, readTls } from '../hub-settings.ts'
import { commandLine, followCommand, uploadCommand } from '../instructions.ts'
import { hubLogger } from '../log.ts'
import { DATA_DEFAULT } from './options.ts'
import { askedToStop, runHub } from './run-hub.ts'

export const command: Command = {
  summary: 'run the hub',
  usage: `hirundo serve [--config FILE] [--data DIR] [--host 127.0.0.1] [--port 8080] [--name HOST]...
              [--tls-certificate FILE --tls-key FILE] [--geography FILE] [--open-reading] [--remove-captures]
              [--metrics-port PORT] [--keep CLASS=DAYS]... [--log LEVEL] [--log-format auto|json|text]

Prints the address on a line of its own when the hub is ready. Ctrl-C or SIGTERM ends it within seconds: uploads under
way get three of them, what is received stays received; a second signal ends it at once, and loses nothing either.

  --config FILE           JSON as "hirundo config show" explains it; the options here win over it
  --data DIR              everything of the hub lies there, default ${DATA_DEFAULT}
  --host ADDRESS          address to listen on. Others than loopback without TLS put tokens on the network in clear
                          text: name a certificate, or forward from a proxy with TLS (deploy/ has examples)
  --port PORT             default 8080; 0 takes any free port
  --name HOST             host name of the certificate or the proxy; may be given several times
  --tls-certificate FILE  PEM with the chain; with it the hub speaks HTTPS only. SIGHUP reads it again
  --tls-key FILE          PEM with its key
  --geography FILE        table of economies: .mmdb, or .csv with prefix,economy; default: the one of Hirundo
  --open-reading          whoever reaches the hub may read everything, without a token; only on loopback
  --remove-captures       remove raw captures once they are counted; by default they are kept in DIR/captures
  --keep CLASS=DAYS       remove captures, batches, flows or rollups after so many days; see hirundo retain --help
  --metrics-port PORT     gives /metrics on 127.0.0.1 without a token; else /api/v1/metrics asks for a coordinator's
  --log LEVEL             ${LOG_LEVELS.join(', ')}; default info: what was received, counted, refused and changed
  --log-format FORMAT     ${LOG_FORMATS.join(', ')}; auto is text on a terminal, else one JSON object a line`,
  options: {
    config: { type: 'string' },
    data: { type: 'string' },
    host: { type: 'string' },
    port: { type: 'string' },
    name: { type: 'string', multiple: true },
    'tls-certificate': { type: 'string' },
    'tls-key': { type: 'string' },
    geography: { type: 'string' },
    'open-reading': { type: 'boolean' },
    'remove-captures': { type: 'boolean' },
    'metrics-port': { type: 'string' },
    keep: { type: 'string', multiple: true },
    log: { type: 'string' },
    'log-format': { type: 'string' },
  },
  async run({ values, positionals }) {
    if (positionals.length > 0) throw new TelescopeError('USAGE', `serve takes no argument "${positionals[0]}"`)
    const settings = readHubSettings(values)
    const tls = readTls(settings)
    const stop = askedToStop({ hangUp: tls === null })
    // All that the hub writes is for its own user: raw captures hold dark addresses.
    process.umask(0o077)
    const hub = await startHub({
      data: settings.data,
      host: settings.host,
      ports: [settings.port],
      geography: settings.geography ?? null,
      names: settings.names,
      openReading: settings.open_reading,
      tls,
      keepCaptures: settings.keep_captures,
      retention: parseRetention(settings.keep),
      quotas: {
        connections: settings.quota_uploads_at_once,
        pending: settings.quota_waiting,
        uploadsPerDay: settings.quota_uploads_a_day,
        bytesPerDay: settings.quota_gigabytes_a_day * 2 ** 30,
      },
      metricsPort: settings.metrics_port ?? null,
      logger: hubLogger(settings.log_level, settings.log_format),
    })
    if (tls !== null) process.on('SIGHUP', () => renewTls(hub, settings))
    process.stdout.write(introduction(hub, settings))
    await runHub(hub, stop)
    return 0
  },
}

/** A pair that cannot be used leaves the one in use. */
function renewTls(hub: Hub, settings: HubSettings): void {
  try {
    hub.renewTls(readTls(settings)!)
    hub.log.info('certificate was renewed')
  } catch (error) {
    hub.log.error({ err: error }, 'certificate was not renewed; the one in use stays')
  }
}

function introduction({ url, signInToken }: Hub, { data, host, names, tls_key }: HubSettings): string {
  const [name] = names
  const page = name === undefined ? url : `https://${name}${tls_key === undefined ? '' : portOf(url)}`
  return `${url}/

sign in (until the hub stops):  ${page}/sign-in#${signInToken}
add a sensor:                   ${commandLine('sensor', 'add', 'ID', '--economy', 'CC', '--telescope', 'CIDR', '--data', data)}
make its token:                 ${commandLine('token', 'create', '--sensor', 'ID', '--data', data)}
upload a capture:               ${uploadCommand(page, '$TOKEN', 'FILE')}
what became of it:              ${followCommand(page, '$TOKEN', 'FILE')}
${isLoopback(host) || tls_key !== undefined ? '' : '\nThis address is reachable from other machines, and without TLS tokens can be read on the way.\n'}
`
}

function portOf(url: string): string {
  const { port } = new URL(url)
  return port === '' ? '' : `:${port}`
}
