import { mkdir, rm, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { TelescopeError } from '../../schemas/errors.ts'
import { isParsedFileName, type ParseAnswer, type ParseJob } from '../../schemas/parse-job.ts'
import { PARSE_LIMITS, ParseChildProcess, type ParseLimits } from './parse-child-process.ts'

/** A job whose child died is tried this often; then the upload is at fault, not the moment. */
const TRIES_MAX = 2
/** More children than this gain nothing: the catalog's commits are the bottleneck then. */
const CHILDREN_MAX = 4

/** The file header alone: pcap 2.4, little endian, Ethernet. */
const EMPTY_PCAP = Buffer.from('d4c3b2a1020004000000000000000000ffff000001000000', 'hex')

type JobRequest = ParseJob extends infer J ? (J extends ParseJob ? Omit<J, 'id' | 'out'> : never) : never

/** An answer with the folder that holds its files; or why the child gave none; or the pool was closed meanwhile. */
export type ParseResult =
  | { readonly kind: 'answered'; readonly answer: ParseAnswer; readonly out: string }
  | { readonly kind: 'died'; readonly reason: string }
  | { readonly kind: 'closed' }

/** Hands jobs to the parsing children, one at a time each, in the order they come. */
export class ParsePool {
  readonly #parsedFolder: string
  readonly #idle: ParseChildProcess[]
  readonly #children: readonly ParseChildProcess[]
  readonly #waiting: ((child: ParseChildProcess) => void)[] = []
  #nextId = 1
  #closed = false

  /** @param module the built `collector/parse-child.js` */
  constructor(module: string, parsedFolder: string, limits: ParseLimits = PARSE_LIMITS) {
    this.#parsedFolder = parsedFolder
    const count = Math.min(availableParallelism(), CHILDREN_MAX)
    this.#children = Array.from({ length: count }, () => new ParseChildProcess(module, limits))
    this.#idle = [...this.#children]
  }

  /** Children that had to be started again, because they died or were killed. */
  get restarts(): number {
    return this.#children.reduce((sum, child) => sum + Math.max(0, child.starts - 1), 0)
  }

  /** Process ids of the children that run. */
  get pids(): number[] {
    return this.#children.flatMap(child => child.pid ?? [])
  }

  /** Starts the child that the first job will go to. */
  load(): void {
    this.#idle.at(-1)?.load()
  }

  /**
   * Parses a capture without packets, so that a child that cannot work at all is found before it costs an upload.
   * @throws INTERNAL
   */
  async check(): Promise<void> {
    const input = join(this.#parsedFolder, 'empty.pcap')
    await writeFile(input, EMPTY_PCAP)
    const sensor = { sensor: 'check', telescope: '192.0.2.0/24', telescope_epoch: 1, upload_id: 0, key: '0'.repeat(64) }
    const result = await this.parse({ kind: 'capture', input, sha256: '', ...sensor }, EMPTY_PCAP.length)
    if (result.kind === 'answered' && result.answer.ok && result.answer.capture?.error === null) {
      await rm(result.out, { recursive: true })
      await rm(input)
    } else if (result.kind !== 'closed') {
      const reason = result.kind === 'died' ? result.reason : 'cannot read an empty capture'
      throw new TelescopeError('INTERNAL', `parsing process does not work: it ${reason}`)
    }
  }

  /**
   * Parses one upload. The files of the answer stay until the caller removes `out`.
   * @param byteCount size of the input, for the time limit
   * @param onTry before a child gets it, each time
   */
  async parse(request: JobRequest, byteCount: number, onTry?: () => Promise<void>): Promise<ParseResult> {
    const child = this.#idle.pop() ?? (await new Promise<ParseChildProcess>(resolve => this.#waiting.push(resolve)))
    try {
      let reason = ''
      for (let tries = 0; tries < TRIES_MAX; tries++) {
        if (this.#closed) return { kind: 'closed' }
        const id = this.#nextId++
        const out = join(this.#parsedFolder, String(id))
        await mkdir(out, { mode: 0o700 })
        await onTry?.()
        const outcome = await child.run({ ...request, id, out } as ParseJob, byteCount)
        if ('answer' in outcome && isAnswerTo(outcome.answer, id, out)) {
          return { kind: 'answered', answer: outcome.answer, out }
        }
        await rm(out, { recursive: true, force: true })
        reason = 'died' in outcome ? outcome.died : 'gave an answer that makes no sense'
      }
      return this.#closed ? { kind: 'closed' } : { kind: 'died', reason }
    } finally {
      const next = this.#waiting.shift()
      if (next) next(child)
      else this.#idle.push(child)
    }
  }

  /** Ends all children; jobs that run or wait end as closed. */
  close(): void {
    this.#closed = true
    for (const child of this.#children) child.close()
  }
}

/** The child has seen hostile bytes: it may name no file but those it was to write. */
function isAnswerTo(answer: ParseAnswer, id: number, out: string): boolean {
  if (answer?.id !== id) return false
  const isOurs = (path: string): boolean => dirname(path) === out && isParsedFileName(basename(path))
  return !answer.ok || answer.batches.every(({ path, sources, traffic }) => [path, sources, traffic].every(isOurs))
}
