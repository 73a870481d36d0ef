import type { Finished } from './hub-process.ts'
import { type NetworkNamespace, ROUTER, SCANNER, type TelescopeNetwork } from './network-namespaces.ts'

/** Real scanners, run on the scanning machine. All return how many packets they themselves say that they sent. */

interface Scan {
  readonly network: TelescopeNetwork
  /** One of the machine's addresses. */
  readonly source: string
}

interface PrefixScan extends Scan {
  readonly prefixes: readonly string[]
}

interface PortScan extends PrefixScan {
  readonly ports: readonly number[]
}

interface RandomScan extends Scan {
  /** Address with `x` for each byte that is drawn, such as 198.19.1.x. */
  readonly target: string
  readonly packets: number
}

/** Packets a second; slow enough for a busy machine. */
const RATE = '2000'

/** SYN scan. */
export async function nmap({ network, source, prefixes, ports }: PortScan): Promise<number> {
  const timing = ['--max-retries', '0', '-T5', '--min-rate', '1000']
  const options = ['-n', '-v', '-Pn', '-sS', '-e', SCANNER.device, '-S', source, '-p', ports.join()]
  const { stdout } = await succeed(network.scanner, 'nmap', ...options, ...timing, ...prefixes)
  return numberIn(stdout, /Raw packets sent: (\d+)/)
}

/** SYN scan of one port. */
export async function zmapSyn(scan: PrefixScan, port: number): Promise<number> {
  return await zmap(scan, ['-M', 'tcp_synscan', '-p', String(port)])
}

/** ICMP echo scan. */
export async function zmapEcho(scan: PrefixScan): Promise<number> {
  return await zmap(scan, ['-M', 'icmp_echoscan'])
}

async function zmap({ network, source, prefixes }: PrefixScan, probe: readonly string[]): Promise<number> {
  // Debian's blacklist has the benchmarking addresses. Without the router's address zmap waits for ever.
  const options = ['-b', '/dev/null', '-i', SCANNER.device, '-S', source, '-G', ROUTER.mac, '-r', RATE, '-c', '1']
  const output = ['-q', '--disable-syslog', '-o', '/dev/null', '-m', '-']
  const { stdout } = await succeed(network.scanner, 'zmap', ...probe, ...options, ...output, ...prefixes)
  return numberIn(stdout, /"total_sent": ?(\d+)/)
}

/** SYN scan; masscan says how many hosts and ports it scans, and sends one packet for each pair. */
export async function masscan({ network, source, prefixes, ports }: PortScan): Promise<number> {
  // It never ends while nothing at all reaches its device, so the router says something now and then.
  const feed = ['hping3', '-q', '-I', ROUTER.device, '--udp', '-p', '9', '-i', 'u200000', '-c', '250', source]
  const feeder = network.router.spawn(feed)
  const fed = new Promise(resolve => feeder.on('close', resolve))
  try {
    const link = ['-e', SCANNER.device, '--source-ip', source, '--router-mac', ROUTER.mac.replaceAll(':', '-')]
    const options = [...link, '--rate', RATE, '--wait', '0']
    const { stderr } = await succeed(network.scanner, 'masscan', prefixes.join(), `-p${ports.join()}`, ...options)
    return numberIn(stderr, /Scanning (\d+) hosts/) * numberIn(stderr, /\[(\d+) ports?\/host\]/)
  } finally {
    feeder.kill('SIGKILL')
    await fed
  }
}

/** SYN+ACK from a port, as the victim of a forged flood sends it. */
export async function hping3SynAck(scan: RandomScan, fromPort: number): Promise<number> {
  return await hping3(scan, ['-S', '-A', '-s', String(fromPort), '-k', '-p', '40000'])
}

/** UDP with a payload that means nothing. */
export async function hping3Udp(scan: RandomScan, port: number): Promise<number> {
  return await hping3(scan, ['--udp', '-d', '20', '-p', String(port)])
}

async function hping3({ network, source, target, packets }: RandomScan, probe: readonly string[]): Promise<number> {
  const options = ['-q', '-I', SCANNER.device, '-i', 'u2000', '-c', String(packets), '-a', source]
  const command = ['hping3', ...options, ...probe, '--rand-dest', target]
  const finished = await network.scanner.run(...command)
  // Exit status 1 says that nobody has answered.
  if (finished.status !== 1) throw failure(command, finished)
  return numberIn(finished.stderr, /(\d+) packets transmitted/)
}

/** Puts the frames of a capture as they are on the router's link to a dark network. */
export async function tcpreplay(network: TelescopeNetwork, device: string, capture: string): Promise<number> {
  const { stdout } = await succeed(network.router, 'tcpreplay', '-q', '--pps', RATE, '-i', device, capture)
  if (numberIn(stdout, /Failed packets:\s+(\d+)/) > 0) throw new Error(`tcpreplay could not send all: ${stdout}`)
  return numberIn(stdout, /Successful packets:\s+(\d+)/)
}

async function succeed(namespace: NetworkNamespace, ...command: string[]): Promise<Finished> {
  const finished = await namespace.run(...command)
  if (finished.status !== 0) throw failure(command, finished)
  return finished
}

function numberIn(text: string, pattern: RegExp): number {
  const match = pattern.exec(text)
  if (match === null) throw new Error(`${pattern} is not in what was said: ${text}`)
  return Number(match[1])
}

function failure(command: readonly string[], { status, stdout, stderr }: Finished): Error {
  return new Error(`${command.join(' ')} ended with ${status}: ${stdout}${stderr}`)
}
