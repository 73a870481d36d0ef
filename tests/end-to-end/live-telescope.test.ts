import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Truth } from '../../fixtures/simulator/truth.ts'
import type { Answer, QueryName, QueryParameters, QueryRow } from '../../schemas/api.ts'
import { type CollectSummary, isBatchFileName } from '../../schemas/batch.ts'
import { protocolName } from '../../schemas/protocol.ts'
import { HOUR_SECONDS } from '../../schemas/time.ts'
import { TOOLS, type ToolName, toolColumn } from '../../schemas/tool.ts'
import { hasCommand, requireExternal } from '../support/external.ts'
import { hirundoSucceeds, type RunningHub, startHirundo, until } from '../support/hirundo.ts'
import {
  canMakeNamespaces,
  type DarkNetwork,
  type NetworkNamespace,
  namespacesLeft,
  TelescopeNetwork,
} from '../support/network-namespaces.ts'
import { readmeCommand } from '../support/readme-command.ts'
import { hping3SynAck, hping3Udp, masscan, nmap, tcpreplay, zmapEcho, zmapSyn } from '../support/scanners.ts'
import { ShellCommand } from '../support/shell-command.ts'

// Goal: what a hub says about live sensors is what real scanners say that they sent. Method: scanners in one network
// namespace, sensors in others, with the README's own commands; a second tcpdump beside each sensor is the witness of
// how many packets carry a tool's mark, by libpcap's filter machine. No packet leaves the namespaces.

// Some twenty seconds on two idle cores; the machine may be busy with others.
vi.setConfig({ testTimeout: 120_000 })

interface Sensor {
  readonly id: string
  readonly prefix: string
  readonly addresses: number
}
const NEAR: Sensor = { id: 'near-1', prefix: '198.19.1.0/24', addresses: 256 }
const FAR: Sensor = { id: 'far-1', prefix: '198.19.2.0/26', addresses: 64 }
/** Sees only the simulator's packets, sent by tcpreplay. */
const REPLAYED: Sensor = { id: 'replayed-1', prefix: '203.0.113.0/24', addresses: 256 }
const SENSORS = [NEAR, FAR, REPLAYED]
const BOTH = [NEAR.prefix, FAR.prefix]
const RANDOM = { target: '198.19.1.x', packets: 50 }

interface Scan {
  readonly name: string
  readonly source: string
  readonly run: (scan: { network: TelescopeNetwork; source: string }) => Promise<number>
  readonly class: 'scan' | 'backscatter'
  /** `sensor protocol/port`, and how many packets it must have got. */
  readonly expected: Readonly<Record<string, number>>
  /** Tools that the hub must name, where the witness sees their mark in every packet. */
  readonly tools: readonly ToolName[]
}

const SCANS: readonly Scan[] = [
  {
    name: 'nmap, two ports of half a prefix',
    source: '198.19.0.11',
    run: scan => nmap({ ...scan, prefixes: ['198.19.1.0/25'], ports: [23, 2323] }),
    class: 'scan',
    expected: { 'near-1 tcp/23': 128, 'near-1 tcp/2323': 128 },
    tools: ['nmap'],
  },
  {
    name: 'zmap, one port of both telescopes',
    source: '198.19.0.12',
    run: scan => zmapSyn({ ...scan, prefixes: BOTH }, 80),
    class: 'scan',
    expected: { 'near-1 tcp/80': 256, 'far-1 tcp/80': 64 },
    tools: ['zmap'],
  },
  {
    name: 'zmap, ICMP echo',
    source: '198.19.0.13',
    run: scan => zmapEcho({ ...scan, prefixes: [FAR.prefix] }),
    class: 'scan',
    expected: { 'far-1 icmp/2048': 64 },
    tools: ['zmap'],
  },
  {
    name: 'masscan, two ports of both telescopes',
    source: '198.19.0.14',
    run: scan => masscan({ ...scan, prefixes: BOTH, ports: [22, 443] }),
    class: 'scan',
    expected: { 'near-1 tcp/22': 256, 'near-1 tcp/443': 256, 'far-1 tcp/22': 64, 'far-1 tcp/443': 64 },
    tools: ['masscan', 'masscan-profile', 'masscan-profile-2023'],
  },
  {
    name: 'hping3, SYN+ACK from port 80',
    source: '198.19.0.15',
    run: scan => hping3SynAck({ ...scan, ...RANDOM }, 80),
    class: 'backscatter',
    expected: { 'near-1 tcp/80': RANDOM.packets },
    tools: [],
  },
  {
    name: 'hping3, UDP',
    source: '198.19.0.16',
    run: scan => hping3Udp({ ...scan, ...RANDOM }, 1900),
    class: 'scan',
    expected: { 'near-1 udp/1900': RANDOM.packets },
    tools: [],
  },
]

/** The rules of schemas/tool.ts for IPv4 without options, as libpcap filters. */
const MARKS: Partial<Record<ToolName, string>> = {
  zmap: 'ip[4:2] = 54321',
  masscan: 'tcp and ip[4:2] = ((ip[18:2] ^ tcp[2:2] ^ tcp[6:2]) & 0xffff)',
  'masscan-profile': 'tcp[12] = 0x50 and tcp[13] = 2 and ip[8] >= 200 and tcp[14:2] = 1024',
  'masscan-profile-2023':
    'tcp[12] = 0x60 and tcp[13] = 2 and tcp[20:4] = 0x020405b4 and ip[8] >= 200 and tcp[14:2] = 1025',
  mirai: 'tcp[13] = 2 and tcp[4:4] = ip[16:4]',
  nmap: 'tcp[12] = 0x60 and tcp[13] = 2 and tcp[20:4] = 0x020405b4 and ip[8] < 64 and tcp[14:2] & 0xe3ff = 0 and tcp[14:2] >= 1024 and tcp[14:2] <= 4096',
}

const COMMANDS = ['ip', 'tcpdump', 'nmap', 'zmap', 'masscan', 'hping3', 'tcpreplay', 'ps']
const canRun = requireExternal(
  `one of ${COMMANDS.join(', ')}, or root with network namespaces`,
  COMMANDS.every(hasCommand) && canMakeNamespaces(),
)

/** A sensor at work: the recording pipeline, the sender, and the witness. */
interface LiveSensor extends Sensor {
  readonly dark: DarkNetwork
  readonly folder: string
  readonly recording: ShellCommand
  readonly sending: ShellCommand
  readonly witness: ShellCommand
}

let folder: string
let hub: RunningHub
let analyst: string
let network: TelescopeNetwork
let truth: Truth
let sensors: LiveSensor[]
/** All commands that were started, to end what a failure leaves running. */
const commands: ShellCommand[] = []
const sent = new Map<Scan, number>()
let replayed: number
/** What the hub says about each source in all. */
let sources: Map<string, QueryRow<'sources'>>
/** Unix seconds: before the first packet, and after the last. */
let began: number
let ended: number

async function startSensor(sensor: Sensor, dark: DarkNetwork): Promise<LiveSensor> {
  const hubFolder = join(folder, 'hub')
  const own = join(folder, sensor.id)
  mkdirSync(own)
  const names = { 'my-1': sensor.id }
  const prefix = { '192.0.2.0/24': sensor.prefix }
  await succeed(readmeCommand('sensor add', { ...names, ...prefix }), hubFolder)
  await succeed(readmeCommand('token create --sensor my-1 --json', names), hubFolder)
  // The coordinator hands the file to the operator.
  renameSync(join(hubFolder, `${sensor.id}.json`), join(own, `${sensor.id}.json`))
  const witness = `exec tcpdump -n --immediate-mode -s 256 -B 16384 -Z root -i ${dark.device} -w witness.pcap dst net ${sensor.prefix}`
  const record = readmeCommand('collect -', { ...names, ...prefix, eth1: dark.device, 'seconds 300': 'seconds 60' })
  return {
    ...sensor,
    dark,
    folder: own,
    witness: start(witness, own, dark.namespace),
    recording: start(`${record} --json`, own, dark.namespace),
    sending: start(readmeCommand('send --spool', { ...names, 'https://hub.example': hub.url }), own),
  }
}

function start(line: string, cwd: string, namespace: NetworkNamespace | null = null): ShellCommand {
  const command = new ShellCommand(line, cwd, namespace)
  commands.push(command)
  return command
}

async function succeed(line: string, cwd: string): Promise<void> {
  const command = start(line, cwd)
  await command.ended
  expect(command.child.exitCode, `${line}\n${command.stderr}`).toBe(0)
}

/** Until both tcpdumps record, and collect has said where its key is: from then on it obeys signals. */
async function listens({ id, recording, witness }: LiveSensor): Promise<void> {
  await until(
    `${id} listens`,
    async () =>
      [recording, witness].every(({ stderr }) => stderr.includes('listening on')) &&
      recording.stderr.includes(`${id}.key`),
  )
}

/**
 * Until tcpdump has read what the kernel holds for it: what is there when it is stopped it drops without a word. It
 * tells its counts on SIGUSR1.
 */
async function hasRead({ id, recording }: LiveSensor): Promise<void> {
  await until(`tcpdump of ${id} has read all`, async () => {
    recording.signalOne('tcpdump', 'SIGUSR1')
    const counts = [...recording.stderr.matchAll(/(\d+) packets? captured, (\d+) packets? received by filter/g)].at(-1)
    return counts !== undefined && counts[1] === counts[2]
  })
}

describe.skipIf(!canRun)('a small telescope, live', () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'hirundo-live-'))
    mkdirSync(join(folder, 'hub'))
    const data = join(folder, 'hub/data')
    const region = join(folder, 'region')
    await hirundoSucceeds(['simulate', '--scenario', 'single', '--packets', '2000', '--seed', '7', '--out', region])
    truth = JSON.parse(readFileSync(join(region, 'truth.json'), 'utf8')) as Truth
    network = new TelescopeNetwork(
      SCANS.map(({ source }) => source),
      SENSORS.map(({ prefix }) => prefix),
    )
    hub = await startHirundo(['serve', '--data', data, '--port', '0'])
    analyst = (await hirundoSucceeds(['token', 'create', '--role', 'analyst', '--data', data])).stdout.trim()
    sensors = await Promise.all(SENSORS.map((sensor, index) => startSensor(sensor, network.darks[index]!)))
    await Promise.all(sensors.map(listens))
    const [near, far, replay] = sensors as [LiveSensor, LiveSensor, LiveSensor]

    began = Date.now() / 1000
    await Promise.all(SCANS.map(async scan => sent.set(scan, await scan.run({ network, source: scan.source }))))
    replayed = await tcpreplay(network, replay.dark.routerDevice, join(region, truth.captures[0]!.path))
    await Promise.all(sensors.map(hasRead))
    // At once, and in the three ways in which a sensor ends: its tcpdump alone, Ctrl-C, and a supervisor's SIGTERM.
    await replay.recording.stopOne('tcpdump', 'SIGINT')
    await near.recording.stop('SIGINT')
    await far.recording.stop('SIGTERM')
    ended = Date.now() / 1000

    for (const { witness } of sensors) await witness.stop('SIGINT')
    for (const { folder, sending } of sensors) {
      await until('the spool is empty', async () => !readdirSync(join(folder, 'spool')).some(isBatchFileName))
      await sending.stop('SIGTERM')
    }
    await until('all is counted', async () => (await ask('sensors', {})).rows.every(row => row.pending_count === 0))
    sources = await sourceRows({})
  }, 240_000)

  afterAll(async () => {
    try {
      network?.close()
    } finally {
      await Promise.all([...commands.map(command => command.stop('SIGKILL')), hub?.stop()])
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it('records everything that arrives, and loses nothing when it is stopped', () => {
    for (const { id, recording, witness } of sensors) {
      const { captures } = JSON.parse(recording.stdout) as CollectSummary
      const captured = Number(/^(\d+) packets captured$/m.exec(recording.stderr)?.[1])
      for (const { stderr } of [recording, witness]) expect(stderr, id).toMatch(/^0 packets dropped by kernel$/m)
      expect(witness.stderr, id).toMatch(new RegExp(`^${packetsFor(id)} packets captured$`, 'm'))
      expect(captures, id).toMatchObject([
        {
          path: '-',
          format: 'pcap',
          packets_read: captured,
          packets_kept: packetsFor(id),
          truncated: false,
          error: null,
        },
      ])
      expect(total(captures[0]!.drops), id).toBe(captured - packetsFor(id))
    }
    expect(sensors[2]!.recording.child.exitCode).toBe(0)
  })

  it('sends every batch once, and keeps its receipt', () => {
    for (const { id, folder, recording } of sensors) {
      const { batches } = JSON.parse(recording.stdout) as CollectSummary
      const spool = readdirSync(join(folder, 'spool'))
      expect(spool.filter(isBatchFileName), id).toEqual([])
      expect(spool, id).not.toContain('refused')
      expect(readdirSync(join(folder, 'spool/receipts')), id).toHaveLength(batches)
    }
  })

  it('counts at each sensor what the scanners say they sent, and knows when it listened', async () => {
    for (const [scan, packets] of sent) expect(packets, scan.name).toBe(total(scan.expected))
    expect(replayed).toBe(truth.totals.packets)
    const { rows } = await ask('sensors', range())
    expect(Object.fromEntries(rows.map(row => [row.sensor, row.packet_count]))).toEqual(
      Object.fromEntries(SENSORS.map(({ id }) => [id, packetsFor(id)])),
    )
    for (const { id, addresses } of SENSORS) {
      const { meta } = await ask('traffic', { ...range(), sensor: id })
      const seconds = (meta.exposed_addr_days * 86_400) / addresses
      expect(seconds, id).toBeGreaterThan(0)
      expect(seconds, id).toBeLessThan(ended - began)
    }
  })

  it.each(SCANS)('$name', async scan => {
    const { rows, meta } = await ask('flows', { ...range(), src: scan.source, limit: '1000' })
    expect(meta.total_rows).toBe(rows.length)
    const services: Record<string, number> = {}
    for (const row of rows) {
      const service = `${row.sensor} ${protocolName(row.protocol)}/${row.service_port}`
      services[service] = (services[service] ?? 0) + row.packet_count
    }
    expect(services).toEqual(scan.expected)
    expect(rows.filter(row => row.class !== scan.class)).toEqual([])

    const row = sources.get(scan.source)!
    const packets = sent.get(scan)!
    expect(row).toMatchObject({
      packet_count: packets,
      service_count: new Set(Object.keys(scan.expected).map(key => key.split(' ')[1])).size,
      sensor_count: new Set(Object.keys(scan.expected).map(key => key.split(' ')[0])).size,
    })
    await expectEvidence(row, scan, packets)
  })

  it('shows a sweep of both telescopes at both', async () => {
    const [near, far, replayed] = await Promise.all(SENSORS.map(({ id }) => sourceRows({ sensor: id })))
    for (const { source } of SCANS.filter(scan => scan.name.includes('both'))) {
      const seenBy = [near, far, replayed].map(rows => rows!.has(source))
      expect(seenBy, source).toEqual([true, true, false])
    }
  })

  it('tells of replayed packets what the simulator put into them', async () => {
    const sensor = REPLAYED.id
    const { rows } = await ask('traffic', { ...range(), sensor, by: 'class' })
    const classes: Record<string, number> = { scan: 0, backscatter: 0, other: 0 }
    for (const row of rows) classes[row.series]! += row.packet_count
    expect(classes).toEqual(truth.totals.by_class)

    const senders = await sourceRows({ sensor })
    expect(senders.size).toBe(truth.sources.period.total_rows)
    for (const row of truth.sources.period.rows) {
      expect(senders.get(row.src_addr)?.packet_count, row.src_addr).toBe(row.packet_count.any)
    }
    for (const { name } of TOOLS) {
      const matches = [...senders.values()].reduce((sum, row) => sum + toolCount(row, name), 0)
      expect(matches, name).toBe(truth.totals.by_tool[name])
    }
    expect(truth.totals.by_tool['mirai']).toBeGreaterThan(100)

    const ports = await ask('ports', { ...range(), sensor, class: 'scan', compare: 'none', limit: '1000' })
    const expected = truth.ports.scan!.days[0]!
    expect(ports.meta.total_rows).toBe(expected.total_rows)
    expect(
      ports.rows.slice(0, expected.rows.length).map(row => ({
        protocol: row.protocol,
        service_port: row.service_port,
        src_addr_unique_count: row.src_addr_unique_count,
        packet_count: row.packet_count,
        mirai_packet_count: Math.round(row.mirai_share * row.packet_count),
      })),
    ).toEqual(expected.rows.slice(0, 1000))
  })

  it('names no dark address', async () => {
    const answers = [await ask('flows', { ...range(), limit: '1000' }), [...sources], hub.output()]
    const said = sensors.flatMap(({ recording, sending }) => [recording.stdout, recording.stderr, sending.stdout])
    const text = JSON.stringify([answers, said])
    expect(text).not.toMatch(/198\.19\.[12]\.|203\.0\.113\./)
    expect(text).toContain('198.19.0.12')
  })

  it('leaves no namespace behind', () => {
    expect(namespacesLeft()).toHaveLength(2 + SENSORS.length)
    network.close()
    expect(namespacesLeft()).toEqual([])
  })
})

/** Packets that the hub must have for a sensor. */
function packetsFor(id: string): number {
  if (id === REPLAYED.id) return replayed
  return SCANS.flatMap(({ expected }) => Object.entries(expected))
    .filter(([key]) => key.startsWith(`${id} `))
    .reduce((sum, [, packets]) => sum + packets, 0)
}

/** Holds the counts of each tool's matches against the witnesses, and the labels against the counts. */
async function expectEvidence(row: QueryRow<'sources'>, scan: Scan, packets: number): Promise<void> {
  const labels = row.tools.split('|')
  for (const [name, mark] of Object.entries(MARKS) as [ToolName, string][]) {
    const matches = await witnessed(`src host ${scan.source} and (${mark})`)
    expect(toolCount(row, name), name).toBe(matches)
    if (matches === packets) expect(labels).toContain(`${name} ${packets}/${packets}`)
    else expect(row.tools, name).not.toMatch(new RegExp(`(^|\\|)${name} `))
    if (matches === packets) expect(scan.tools).toContain(name)
  }
  if (scan.tools.length > 0) expect(row.tools).toContain(`${scan.tools[0]} `)
}

/** Packets that match a filter, of all that arrived at the scanned telescopes. */
async function witnessed(filter: string): Promise<number> {
  const counts = sensors
    .filter(({ id }) => id !== REPLAYED.id)
    .map(async ({ dark, folder }) => {
      const path = join(folder, 'witness.pcap')
      const { status, stdout, stderr } = await dark.namespace.run('tcpdump', '-nqt', '-r', path, filter)
      expect(status, stderr).toBe(0)
      return stdout.split('\n').filter(Boolean).length
    })
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0)
}

async function ask<N extends QueryName>(name: N, parameters: QueryParameters<N>): Promise<Answer<N>> {
  const response = await fetch(
    `${hub.url}/api/v1/${name}?${new URLSearchParams(parameters as Record<string, string>)}`,
    { headers: { authorization: `Bearer ${analyst}` } },
  )
  expect(response.status, await response.clone().text()).toBe(200)
  return (await response.json()) as Answer<N>
}

async function sourceRows(filter: { sensor?: string }): Promise<Map<string, QueryRow<'sources'>>> {
  const { rows, meta } = await ask('sources', { ...range(), ...filter, limit: '1000' })
  expect(rows).toHaveLength(meta.total_rows)
  return new Map(rows.map(row => [row.src_addr, row]))
}

function toolCount(row: QueryRow<'sources'>, name: ToolName): number {
  return Number((row as Readonly<Record<string, unknown>>)[toolColumn(name)])
}

/** Whole hours with the time of the test in them. */
function range(): { since: string; until: string } {
  const hour = (seconds: number) => Math.floor(seconds / HOUR_SECONDS) * HOUR_SECONDS
  return { since: String(hour(began)), until: String(hour(ended) + HOUR_SECONDS) }
}

function total(counts: Readonly<Partial<Record<string, number>>>): number {
  return Object.values(counts).reduce<number>((sum, count) => sum + (count ?? 0), 0)
}
