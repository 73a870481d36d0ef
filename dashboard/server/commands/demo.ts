import { join } from 'node:path'
import type { Command, CommandArguments } from '../../../schemas/command.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { KEEP_EVERYTHING } from '../../../schemas/retention.ts'
import { DAY_SECONDS, parseTime } from '../../../schemas/time.ts'
import { dataFolder } from '../data-folder.ts'
import { DemoFolder, demoFolderDefault, removeDemo } from '../demo/demo-folder.ts'
import { type Filling, HubFiller } from '../demo/fill-hub.ts'
import { type Region, readRegion, simulateRegion } from '../demo/region.ts'
import { type Hub, startHub } from '../hub.ts'
import { askHub } from '../hub-client.ts'
import { commandLine, followCommand, uploadCommand } from '../instructions.ts'
import { hubLogger } from '../log.ts'
import { portOption, textOption } from './options.ts'
import { askedToStop, runHub } from './run-hub.ts'

/** A busy port gives the next one; more than this many busy ones in a row are no accident. */
const PORTS_MAX = 20
/** The page is announced when everything is counted, or after this time as soon as the newest weeks are. */
const PATIENCE_SECONDS = 12
/** Older data is still good to look at, but "this week" is no longer this week. */
const FRESH_DAYS = 3
/** The page compares weeks: five of them make it worth looking at. */
const SIMULATED_DAYS = 35

export const command: Command = {
  summary: 'show a simulated region in the browser',
  usage: `hirundo demo [--port 8080] [--data DIR] [--reset]

Simulates six sensors over five weeks, uploads their captures to a hub of its own as real sensors would, and shows the
page, for this machine only. The first start takes some seconds; the next ones reuse the region. Ctrl-C ends it.

  --port PORT  default 8080; when it is taken, the next free one
  --data DIR   default ${demoFolderDefault()}
  --reset      throw the region away, with all that was uploaded to it, and make a new one that ends yesterday`,
  options: {
    port: { type: 'string', default: '8080' },
    data: { type: 'string' },
    reset: { type: 'boolean', default: false },
    // Not in the help: a shorter region, for tests.
    days: { type: 'string' },
  },
  async run({ values, positionals }) {
    const stop = askedToStop({ hangUp: true })
    process.umask(0o077)
    const folder = await openFolder(values, positionals)
    const region = readRegion(folder.region) ?? (await simulate(folder, values, stop))
    if (region === null) return 0
    const progress = { captures: region.captures.length, counted: folder.state.complete ? region.captures.length : 0 }
    const hub = await startHub({
      data: folder.hub,
      host: '127.0.0.1',
      ports: portsFrom(values, positionals),
      geography: join(folder.region, 'geography.csv'),
      names: [],
      openReading: true,
      tls: null,
      metricsPort: null,
      // The captures lie in the region already.
      keepCaptures: false,
      retention: KEEP_EVERYTHING,
      logger: hubLogger('warn', 'auto'),
      demo: () => ({ scale: region.scale, ...progress }),
    })
    folder.update({ url: hub.url })
    const stopping = { requested: false }
    const filled = folder.state.complete
      ? Promise.resolve(announce(hub, region))
      : fill(hub, region, folder, stopping, counted => {
          progress.counted = counted
        })
    // Once it stops, a filler that finds the hub gone is no failure.
    let failure: { error: unknown } | null = null
    const failed = new Promise<void>(resolve => {
      filled.catch(error => {
        if (!stopping.requested) failure = { error }
        resolve()
      })
    })
    const ending = Promise.race([stop, failed]).then(() => {
      stopping.requested = true
    })
    await runHub(hub, ending)
    if (failure !== null) throw (failure as { error: unknown }).error
    return 0
  },
}

async function openFolder(values: CommandArguments['values'], positionals: readonly string[]): Promise<DemoFolder> {
  portsFrom(values, positionals)
  const path = values['data'] === undefined ? demoFolderDefault() : textOption(values, 'data')
  const running = await askHub(dataFolder(join(path, 'hub')), { method: 'GET', path: '/api/v1/health' })
  if (running !== null) {
    const { url } = new DemoFolder(path).state
    throw new TelescopeError(
      'DATA_IN_USE',
      `demo is running already at ${url}/; stop it first, or give this one another --data`,
      {
        url,
      },
    )
  }
  if (values['reset']) removeDemo(path)
  return new DemoFolder(path)
}

/** `npm start --port 8090`, without the `--` between, arrives as a bare number. */
function portsFrom(values: CommandArguments['values'], positionals: readonly string[]): number[] {
  if (positionals.length > 1 || (positionals[0] !== undefined && !/^\d+$/.test(positionals[0]))) {
    throw new TelescopeError('USAGE', `demo takes no argument "${positionals.at(-1)}"`)
  }
  const first = portOption(positionals[0] === undefined ? values : { port: positionals[0] }, 'port')
  return first === 0 ? [0] : Array.from({ length: Math.min(PORTS_MAX, 65_536 - first) }, (_, index) => first + index)
}

async function simulate(
  folder: DemoFolder,
  values: CommandArguments['values'],
  stop: Promise<unknown>,
): Promise<Region | null> {
  const days = values['days'] === undefined ? SIMULATED_DAYS : Number(textOption(values, 'days'))
  stage(`simulating ${days} days of six sensors; this is done once …`)
  return await simulateRegion(folder.region, days, stop)
}

/** Fills the hub; announces the page as soon as it is worth looking at, and goes on. */
async function fill(
  hub: Hub,
  region: Region,
  folder: DemoFolder,
  stopping: { requested: boolean },
  onCounted: (counted: number) => void,
): Promise<void> {
  const started = performance.now()
  let announced = false
  stage(`counting ${region.captures.length} captures …`)
  await new HubFiller(hub, region, stopping).fill(({ captures, counted, newestCounted }: Filling) => {
    onCounted(counted)
    const patient = performance.now() - started < PATIENCE_SECONDS * 1000
    if (!announced) note(`uploading captures of the sensors: ${counted} of ${captures} are counted`)
    if (announced || (counted < captures && (patient || !newestCounted))) return
    announced = true
    announce(hub, region)
  })
  if (!stopping.requested) folder.update({ complete: true })
}

function announce(hub: Hub, region: Region): void {
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K')
  const ageDays = Math.floor((Date.now() / 1000 - parseTime(region.end)) / DAY_SECONDS)
  const data = hub.folder.root
  const story = region.stories.find(({ protocol, port }) => protocol === 'tcp' && port !== null && port !== 23)
  const lines = [
    `${hub.url}/`,
    '',
    `DEMO DATA: a simulated region at ${percent(region.scale)} of a real one's packets. Look at`,
    `  ${hub.url}/port/tcp/23`,
    ...(story ? [`  ${hub.url}/port/tcp/${story.port}`] : []),
    `  ${hub.url}/?v=1&class=backscatter&by=sensor`,
    '',
    'To see a capture of your own on it (FILE; CIDR is the prefix that it was recorded for):',
    `  ${commandLine('sensor', 'add', 'mine', '--economy', 'JP', '--telescope', 'CIDR', '--data', data)}`,
    `  TOKEN=$(${commandLine('token', 'create', '--sensor', 'mine', '--data', data)})`,
    `  ${uploadCommand(hub.url, '$TOKEN', 'FILE')}`,
    `  ${followCommand(hub.url, '$TOKEN', 'FILE')}`,
    ...(ageDays > FRESH_DAYS
      ? [
          '',
          `The data ends ${ageDays} days ago; ${commandLine('demo', '--reset')} makes a new region that ends yesterday.`,
        ]
      : []),
    '',
    'Ctrl-C ends it.',
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}

function percent(scale: number): string {
  return `${Number((scale * 100).toPrecision(2))} %`
}

/** What is done now: the line on a terminal, a line of its own elsewhere. */
function stage(text: string): void {
  if (process.stderr.isTTY) note(text)
  else process.stderr.write(`hirundo: ${text}\n`)
}

/** One line on a terminal that is written over; nothing elsewhere. */
function note(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`)
}
