import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import type { Finished } from './hub-process.ts'

/**
 * A small Internet of network namespaces, without a way out: only what the test makes can be reached. Names hold our
 * process number, so runs do not meet, and what a killed run left behind can be told from what is in use.
 */
const NAME = /^hirundo-live-(\d+)-/
const COMMAND_SECONDS_MAX = 60

/** The link between scanning machine and router: 198.19.0.0/24, of the addresses for benchmarks (RFC 2544). */
export const SCANNER = { device: 's0', mac: '02:00:00:00:00:02' }
export const ROUTER = { device: 'r0', mac: '02:00:00:00:00:01', address: '198.19.0.1' }

/** True when namespaces and virtual links can be made: root, iproute2, and a kernel that lets us. */
export function canMakeNamespaces(): boolean {
  const name = `hirundo-live-${process.pid}-probe`
  if (process.getuid?.() !== 0 || spawnSync('ip', ['netns', 'add', name]).status !== 0) return false
  const link = ['-n', name, 'link', 'add', 'probe0', 'type', 'veth', 'peer', 'name', 'probe1']
  const forward = ['netns', 'exec', name, 'sh', '-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward']
  const isUsable = spawnSync('ip', link).status === 0 && spawnSync('ip', forward).status === 0
  spawnSync('ip', ['netns', 'del', name])
  return isUsable
}

export class NetworkNamespace {
  readonly name: string

  constructor(role: string) {
    this.name = `hirundo-live-${process.pid}-${role}`
    ip('netns', 'add', this.name)
    this.ip('link', 'set', 'lo', 'up')
  }

  /** Runs `ip` on the namespace; throws when it fails. */
  ip(...args: string[]): void {
    ip('-n', this.name, ...args)
  }

  /** Whether packets for others are passed on; a namespace takes over what the host does. */
  setForwarding(isOn: boolean): void {
    ip('netns', 'exec', this.name, 'sh', '-c', `echo ${isOn ? 1 : 0} >/proc/sys/net/ipv4/ip_forward`)
  }

  /** Starts a command inside, in a process group of its own: what a terminal would send Ctrl-C to. */
  spawn(command: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}): ChildProcess {
    return spawn('ip', ['netns', 'exec', this.name, ...command], {
      ...options,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
  }

  /** Runs a command inside to its end; one that takes more than a minute is killed. */
  async run(...command: string[]): Promise<Finished> {
    const child = this.spawn(command)
    const output = { stdout: '', stderr: '' }
    child.stdout!.setEncoding('utf8').on('data', text => (output.stdout += text))
    child.stderr!.setEncoding('utf8').on('data', text => (output.stderr += text))
    const clock = setTimeout(() => child.kill('SIGKILL'), COMMAND_SECONDS_MAX * 1000)
    const status = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', resolve)
    })
    clearTimeout(clock)
    return { status, ...output }
  }
}

export interface DarkNetwork {
  /** Dark IPv4 prefix. */
  readonly prefix: string
  readonly namespace: NetworkNamespace
  /** Where the packets for the prefix arrive. */
  readonly device: string
  /** The other end of that link, in the router. */
  readonly routerDevice: string
}

/** One scanning machine, one router, and behind it networks in which nothing answers. */
export class TelescopeNetwork {
  readonly scanner: NetworkNamespace
  readonly router: NetworkNamespace
  readonly darks: readonly DarkNetwork[]
  #remove = () => removeNamespaces(pid => pid === process.pid)

  /**
   * @param sources addresses of the scanning machine, within 198.19.0.0/24
   * @param prefixes dark prefixes, one a network
   */
  constructor(sources: readonly string[], prefixes: readonly string[]) {
    removeNamespaces(pid => !isAlive(pid))
    process.once('exit', this.#remove)
    this.scanner = new NetworkNamespace('scanner')
    this.router = new NetworkNamespace('router')
    this.#connectScanner(sources)
    this.darks = prefixes.map((prefix, index) => this.#connectDark(prefix, index + 1))
  }

  /** Ends every process inside and removes the namespaces; may be called twice. */
  close(): void {
    this.#remove()
    process.off('exit', this.#remove)
  }

  #connectScanner(sources: readonly string[]): void {
    const { scanner, router } = this
    scanner.setForwarding(false)
    router.setForwarding(true)
    const { device, mac } = SCANNER
    link([scanner, device, mac], [router, ROUTER.device, ROUTER.mac])
    for (const source of sources) scanner.ip('addr', 'add', `${source}/24`, 'dev', device)
    router.ip('addr', 'add', `${ROUTER.address}/24`, 'dev', ROUTER.device)
    scanner.ip('neigh', 'replace', ROUTER.address, 'lladdr', ROUTER.mac, 'dev', device, 'nud', 'permanent')
    scanner.ip('route', 'add', 'default', 'via', ROUTER.address)
  }

  #connectDark(prefix: string, index: number): DarkNetwork {
    const namespace = new NetworkNamespace(`dark-${index}`)
    // Nothing is passed on, so nothing is answered either.
    namespace.setForwarding(false)
    const routerDevice = `r${index}`
    const device = 'eth1'
    const mac = `02:00:00:00:01:${String(index).padStart(2, '0')}`
    const [near, far] = [1, 2].map(host => `198.19.100.${4 * index + host}`)
    link([this.router, routerDevice, `02:00:00:00:02:${String(index).padStart(2, '0')}`], [namespace, device, mac])
    this.router.ip('addr', 'add', `${near}/30`, 'dev', routerDevice)
    namespace.ip('addr', 'add', `${far}/30`, 'dev', device)
    // While a neighbour is being looked up only three packets would wait for it.
    this.router.ip('neigh', 'replace', far!, 'lladdr', mac, 'dev', routerDevice, 'nud', 'permanent')
    this.router.ip('route', 'add', prefix, 'via', far!)
    return { prefix, namespace, device, routerDevice }
  }
}

/** Names of the namespaces that this process has made and not removed. */
export function namespacesLeft(): string[] {
  return listNamespaces().filter(name => ownerOf(name) === process.pid)
}

type LinkEnd = readonly [namespace: NetworkNamespace, device: string, mac: string]

function link([left, leftDevice, leftMac]: LinkEnd, [right, rightDevice, rightMac]: LinkEnd): void {
  const near = [leftDevice, 'netns', left.name, 'address', leftMac]
  const far = [rightDevice, 'netns', right.name, 'address', rightMac]
  ip('link', 'add', ...near, 'type', 'veth', 'peer', 'name', ...far)
  left.ip('link', 'set', leftDevice, 'up')
  right.ip('link', 'set', rightDevice, 'up')
}

function ip(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync('ip', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`ip ${args.join(' ')} ended with ${status}: ${stderr}`)
  return stdout
}

function listNamespaces(): string[] {
  return ip('netns', 'list')
    .split('\n')
    .map(line => line.split(' ')[0]!)
    .filter(name => NAME.test(name))
}

function ownerOf(name: string): number {
  return Number(NAME.exec(name)![1])
}

function removeNamespaces(isRemoved: (pid: number) => boolean): void {
  const ours = () => listNamespaces().filter(name => isRemoved(ownerOf(name)))
  for (const name of ours()) {
    // Another run may be removing what a killed one has left: what counts is that it is gone.
    const { stdout } = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' })
    for (const pid of stdout.split('\n').filter(Boolean)) end(Number(pid))
    spawnSync('ip', ['netns', 'del', name])
  }
  const left = ours()
  if (left.length > 0) throw new Error(`namespaces ${left.join(', ')} cannot be removed`)
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}
