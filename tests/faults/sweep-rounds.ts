import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type CallPoint, threadsOf } from './call-points.ts'
import { pause } from './fault-test.ts'
import type { Acknowledged, FaultyHub } from './faulty-hub.ts'
import { checkPromise } from './promise-check.ts'
import { type MadeUpload, makeCapture } from './upload-maker.ts'

const ATTACH_SECONDS_MAX = 30
const END_SECONDS_MAX = 10
const UPLOAD_BYTES = 20_000
export const ONE_LIBUV_THREAD = { UV_THREADPOOL_SIZE: '1' }

/** Rounds on one data folder: in each, one upload meets one fault. */
export class FaultRounds {
  readonly violations: string[] = []
  readonly acknowledged: Acknowledged[] = []
  readonly sent: MadeUpload[] = []
  fired = 0
  firedOnData = 0
  /** Hubs that died of the fault, or gave up. */
  ended = 0
  readonly #hub: FaultyHub
  #last = 'the start'

  constructor(hub: FaultyHub) {
    this.#hub = hub
  }

  async run(fault: string, point: CallPoint): Promise<void> {
    const hub = this.#hub
    await this.#check()
    const { name, calls, nth, path, thread } = point
    this.#last = `${fault} at ${name}`
    const log = join(hub.data, `strace-${this.sent.length}.log`)
    const onPath = path === null ? [] : ['-P', resolve(hub.data, path)]
    const inject = ['-e', `inject=${calls}:${fault}:when=${nth}`, '-e', `trace=${calls}`]
    const tracer = await attach(hub, log, thread, [...onPath, ...inject])
    const upload = makeCapture(hub.sensors[0]!, this.sent.length, UPLOAD_BYTES)
    this.sent.push(upload)
    const answer = await hub.put(upload)
    if (answer?.status === 201 || answer?.status === 200) {
      this.acknowledged.push({ upload, receivedAt: answer.body?.received_at ?? null })
      await hub.putAway(upload)
    }
    // strace has written everything when it has seen the end of the hub, or is told to end itself.
    if (!hub.runs || (fault === 'signal=KILL' && answer === null)) await this.#hasEnded(tracer)
    tracer.kill('SIGINT')
    await this.#hasEnded(tracer)
    const text = readFileSync(log, 'utf8')
    const hit = /\w+\(.*\(INJECTED\)/.exec(text)?.[0] ?? (/killed by SIGKILL/.test(text) ? lastCall(text) : null)
    // What did not sync may be lost whatever the next sync says: the hub must not go on.
    const lost = /f(?:data)?sync\(\d+<[^>]*\/(?:inbox\/(?:tmp|captures)\b|catalog\.duckdb)/.test(hit ?? '')
    const wrong = (what: string) => this.violations.push(`${this.#last}: ${what} after ${hit?.slice(0, 160)}`)
    if (fault !== 'signal=KILL' && lost) {
      if (hit!.includes('/inbox/') && answer?.status === 201) wrong('a receipt was given')
      else if (!(await this.#endedWithFailure())) wrong('the hub went on')
    }
    tracer.kill('SIGKILL')
    if (hit !== null && fault === 'signal=KILL') await hub.kill()
    if (!hub.runs) this.ended++
    if (hit === null) return
    this.fired++
    if (hit.includes(hub.data)) this.firedOnData++
  }

  /** Holds all that was acknowledged against a hub that was started anew. */
  async finish(): Promise<void> {
    await this.#hub.kill()
    await this.#check()
  }

  /** What was promised before, by the hub that runs or by a new one. */
  async #check(): Promise<void> {
    if (this.#hub.runs && (await this.#isKept())) return
    // It was on its way out, or a new one must be as good.
    await this.#hub.kill()
    await this.#hub.start({ env: ONE_LIBUV_THREAD })
    if (!(await this.#isKept())) this.violations.push(`after ${this.#last}: a new hub does not answer, or never counts`)
  }

  /** @returns false when the hub does not tell; what it tells wrongly is a violation */
  async #isKept(): Promise<boolean> {
    try {
      const found = await checkPromise(this.#hub, this.acknowledged, this.sent)
      this.violations.push(...found.map(violation => `after ${this.#last}: ${violation}`))
      return true
    } catch {
      return false
    }
  }

  async #endedWithFailure(): Promise<boolean> {
    const { child } = this.#hub.process
    await this.#hasEnded(child)
    return child.exitCode !== null && child.exitCode !== 0
  }

  async #hasEnded(child: ChildProcess): Promise<void> {
    for (const end = Date.now() + END_SECONDS_MAX * 1000; Date.now() < end; await pause(20)) {
      if (child.exitCode !== null || child.signalCode !== null) return
    }
  }
}

/** The call at which a killed process was. */
function lastCall(text: string): string {
  return text.split('\n').findLast(line => /^\d* *\w+\(/.test(line)) ?? ''
}

/**
 * strace on the running hub, once it says that it is attached.
 * @param thread place of the one thread that it looks at; null for all, also those to come
 */
export async function attach(
  hub: FaultyHub,
  log: string,
  thread: number | null,
  what: readonly string[],
): Promise<ChildProcess> {
  const pid = hub.process.child.pid!
  const target = thread === null ? ['-f', '-p', String(pid)] : ['-p', String(threadsOf(pid)[thread] ?? pid)]
  const tracer = spawn('strace', ['-y', '-o', log, ...what, ...target], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  tracer.stderr!.on('data', data => {
    said += data
  })
  for (const end = Date.now() + ATTACH_SECONDS_MAX * 1000; !/attached/.test(said); await pause(20)) {
    if (Date.now() > end || tracer.exitCode !== null) throw new Error(`strace did not attach: ${said}`)
  }
  while (!existsSync(log)) await pause(20)
  return tracer
}
