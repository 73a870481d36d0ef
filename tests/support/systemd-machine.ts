import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ROOT } from './external.ts'
import { until } from './hirundo.ts'
import type { Finished } from './hub-process.ts'

/**
 * A real systemd as the first process of namespaces of its own: this machine's files below a layer that is thrown away,
 * its own network with nothing but loopback, its own control groups. Hirundo is in /opt/hirundo and cannot be changed.
 */

const SYSTEMD = '/lib/systemd/systemd'
const COMMANDS = ['unshare', 'nsenter', 'runuser', 'ip', 'tcpdump', 'systemd-sysusers', 'systemd-tmpfiles']
const NAMESPACES = ['--mount', '--pid', '--net', '--uts', '--ipc', '--cgroup', '--fork', '--kill-child']

/** Makes the file system in $1 and leaves its root in $R. */
const LAYERS = `
  mount --make-rprivate /
  mount -t tmpfs tmpfs "$1"
  mkdir "$1/upper" "$1/work" "$1/root"
  mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
  R="$1/root"
  mount -t sysfs sysfs "$R/sys"
  mount -t tmpfs tmpfs "$R/sys/fs/cgroup"
  mount -t cgroup2 cgroup2 "$R/sys/fs/cgroup"`

/** What systemd expects of whoever starts it in a container, and what an operator installs; $2 is Hirundo, $3 node. */
const BOOT = `${LAYERS}
  mount -t proc proc "$R/proc"
  mount -t tmpfs tmpfs "$R/run"
  mount -t tmpfs tmpfs "$R/tmp"
  mount -t tmpfs tmpfs "$R/dev"
  for device in null zero full random urandom tty; do
    touch "$R/dev/$device"
    mount --bind "/dev/$device" "$R/dev/$device"
  done
  mkdir "$R/dev/pts" "$R/dev/shm"
  mount -t devpts devpts "$R/dev/pts"
  mount -t tmpfs tmpfs "$R/dev/shm"
  ln -s pts/ptmx "$R/dev/ptmx"
  ln -s /proc/self/fd "$R/dev/fd"
  ip link set lo up
  mkdir -p "$R/opt/hirundo" "$R/usr/local/bin" "$R/etc/sysusers.d" "$R/etc/tmpfiles.d"
  mount --rbind "$2" "$R/opt/hirundo"
  [ -e "$R/usr/local/bin/node" ] || touch "$R/usr/local/bin/node"
  mount --bind "$3" "$R/usr/local/bin/node"
  find "$R/etc/systemd/system" -mindepth 1 -delete
  cp "$2"/deploy/*.service "$R/etc/systemd/system/"
  cp "$2/deploy/hirundo.sysusers" "$R/etc/sysusers.d/hirundo.conf"
  cp "$2/deploy/hirundo.tmpfiles" "$R/etc/tmpfiles.d/hirundo.conf"
  printf '[Unit]\\nRequires=basic.target\\n' > "$R/etc/systemd/system/hirundo-test.target"
  mkdir "$R/old"
  cd "$R"
  pivot_root . old
  exec env -i container=test PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
    sh -c 'umount -l /old; exec ${SYSTEMD} --system --unit=hirundo-test.target'`

/** True when the machine lets us: root, namespaces, an overlay and control groups that can be mounted. */
export function canBootSystemd(): boolean {
  const found = (command: string) => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0
  if (process.getuid?.() !== 0 || !existsSync(SYSTEMD) || !COMMANDS.every(found)) return false
  const folder = mkdtempSync(join(tmpdir(), 'hirundo-systemd-probe-'))
  const group = new ControlGroup()
  try {
    const probe = group.inside('unshare', ...NAMESPACES, 'sh', '-ec', LAYERS, 'probe', folder)
    return spawnSync(probe[0]!, probe.slice(1)).status === 0
  } catch {
    return false
  } finally {
    group.remove()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A control group below the one that this machine's programs are in, so that systemd has a root of its own. */
class ControlGroup {
  readonly #path: string | null

  constructor() {
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
    const mount = mounts.find(line => line.includes(' - cgroup2 '))?.split(' ')[4]
    this.#path = mount === undefined ? null : join(mount, `hirundo-systemd-${process.pid}-${Date.now()}`)
    try {
      if (this.#path !== null) mkdirSync(this.#path)
    } catch {
      // Then entering it fails.
    }
  }

  /** A command that enters the group first. */
  inside(...command: string[]): string[] {
    return ['sh', '-ec', 'echo $$ > "$0/cgroup.procs"; exec "$@"', this.#path ?? '/nowhere', ...command]
  }

  /** @returns false while a process of it is still ending */
  remove(): boolean {
    if (this.#path !== null) removeGroups(this.#path)
    return this.#path === null || !existsSync(this.#path)
  }
}

function removeGroups(path: string): void {
  if (!existsSync(path)) return
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeGroups(join(path, entry.name))
  }
  try {
    rmdirSync(path)
  } catch {
    // The last process of it is still ending.
  }
}

export class SystemdMachine {
  readonly #child: ChildProcess
  readonly #folder: string
  readonly #group: ControlGroup
  #said = ''

  private constructor() {
    this.#folder = mkdtempSync(join(tmpdir(), 'hirundo-systemd-'))
    this.#group = new ControlGroup()
    const boot = ['bash', '-ec', BOOT, 'boot', this.#folder, ROOT, process.execPath]
    const [command, ...args] = this.#group.inside('unshare', ...NAMESPACES, ...boot)
    this.#child = spawn(command!, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) stream.on('data', data => (this.#said += data))
  }

  /** Starts one with the units of deploy/ installed and none of them running. */
  static async boot(): Promise<SystemdMachine> {
    const machine = new SystemdMachine()
    try {
      await until('systemd has started', async () => {
        if (machine.#child.exitCode !== null) throw new Error(`systemd did not start: ${machine.#said}`)
        return (await machine.run('systemctl is-active hirundo-test.target')).stdout === 'active\n'
      })
    } catch (error) {
      await machine.stop()
      throw error
    }
    return machine
  }

  /** Runs a line of bash in it as root. */
  async run(line: string): Promise<Finished> {
    const { pid } = this.#child
    const init = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
    const enter = ['-t', init, '-m', '-p', '-n', '-u', '-i', '-C', '-r', '-w', 'bash', '-c', line]
    const child = spawn('nsenter', enter, { stdio: ['ignore', 'pipe', 'pipe'] })
    const output = { stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', text => (output.stdout += text))
    child.stderr.setEncoding('utf8').on('data', text => (output.stderr += text))
    const status = await new Promise<number | null>(resolve => child.on('close', resolve))
    return { status, ...output }
  }

  /** The same for lines that must succeed. @returns what it printed */
  async succeeds(line: string): Promise<string> {
    const { status, stdout, stderr } = await this.run(line)
    if (status !== 0) throw new Error(`${line}: ended with ${status}: ${stderr}${await this.journal()}`)
    return stdout
  }

  async journal(): Promise<string> {
    return (await this.run('journalctl --no-pager -o cat -n 50')).stdout
  }

  /** Ends systemd and all that it started. */
  async stop(): Promise<void> {
    if (this.#child.exitCode === null) {
      const ended = new Promise(resolve => this.#child.on('close', resolve))
      this.#child.kill('SIGKILL')
      await ended
    }
    await until('all that it started has ended', async () => this.#group.remove())
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
