import { mkdirSync, mkdtempSync, openSync, readFileSync, writeSync } from 'node:fs'
import { basename, join } from 'node:path'
import { DROP_REASON_NAMES } from '../../schemas/drop-reason.ts'
import { targetsNamed } from './all-targets.ts'
import { loadCorpus } from './corpus.ts'
import { minimiseBytes, minimiseRecipe } from './minimise.ts'
import { applyRecipe, caseRandom, describeRecipe, drawRecipe, plainRecipe, type Recipe } from './recipe.ts'
import { CASE_SECONDS_MAX, type FileCase, type ShardJob, type ShardTally, type WorkerMessage } from './shard.ts'
import { drawTarget, type Outcome, type Target } from './targets.ts'

/**
 * The process that runs the cases of a shard, one after the other. A file says which case it is in, so that its parent
 * knows when it does not come out of one.
 */

/** Failing cases that are told; one defect makes thousands. */
const FAILURES_TOLD_MAX = 20
const TALLY_EVERY_CASES = 1000

const tally: ShardTally = {
  corpus: '',
  failing: 0,
  outcomes: {},
  drops: {},
  slowest: { number: -1, milliseconds: 0, target: '' },
  residentBytesMax: 0,
  cpuSeconds: 0,
}
const told = new Set<string>()

await run(JSON.parse(process.argv[2]!) as ShardJob)

async function run({ root, folder: parent, progress, cases }: ShardJob): Promise<void> {
  const folder = mkdtempSync(join(parent, 'worker-'))
  const descriptor = openSync(progress, 'r+')
  const place = new Float64Array(1)
  const enter = (number: number): void => {
    place[0] = number
    writeSync(descriptor, place, 0, 8, 0)
    if (number % TALLY_EVERY_CASES === 0) sendTally()
  }
  if ('files' in cases) await runFiles(cases.files, cases.from, folder, enter)
  else await runSeed(cases, root, folder, enter)
  sendTally()
  send({ kind: 'done' })
}

function send(message: WorkerMessage): void {
  process.send!(message)
}

function sendTally(): void {
  const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage()
  tally.residentBytesMax = maxRSS * 1024
  tally.cpuSeconds = (userCPUTime + systemCPUTime) / 1e6
  send({ kind: 'tally', tally })
}

type SeedCases = Extract<ShardJob['cases'], { seed: number }>

async function runSeed(cases: SeedCases, root: string, folder: string, enter: (number: number) => void): Promise<void> {
  const targets = targetsNamed(cases.target, folder)!
  const corpusFolder = join(folder, 'corpus')
  mkdirSync(corpusFolder)
  const corpus = await loadCorpus(root, corpusFolder)
  tally.corpus = corpus.digest
  for (let number = cases.from; number < cases.to; number++) {
    const random = caseRandom(cases.seed, number)
    const target = drawTarget(targets, random)
    const recipe = drawRecipe(target.input, corpus, random)
    enter(number)
    await runCase(number, target, recipe)
  }
}

async function runFiles(
  files: readonly FileCase[],
  from: number,
  folder: string,
  enter: (number: number) => void,
): Promise<void> {
  for (let number = from; number < files.length; number++) {
    const { target: name, path } = files[number]!
    const recipe = plainRecipe(basename(path), new Uint8Array(readFileSync(path)))
    enter(number)
    const outcome = await runCase(number, targetsNamed(name, folder)![0]!, recipe)
    if (outcome !== null) send({ kind: 'outcome', number, outcome })
  }
}

/** @returns null when something is wrong with how the input was taken; that is told */
async function runCase(number: number, target: Target, recipe: Recipe): Promise<Outcome | null> {
  const bytes = applyRecipe(recipe)
  const started = performance.now()
  let checked = await check(target, bytes)
  const milliseconds = performance.now() - started
  if (milliseconds > CASE_SECONDS_MAX * 1000) checked = await checkTime(target, bytes)
  if (milliseconds > tally.slowest.milliseconds) tally.slowest = { number, milliseconds, target: target.name }
  if (checked instanceof Error) {
    await tell(number, target, recipe, bytes, checked)
    return null
  }
  count(target, checked)
  return checked
}

async function check(target: Target, bytes: Uint8Array): Promise<Outcome | Error> {
  try {
    return await target.check(bytes)
  } catch (error) {
    return error instanceof Error ? error : new Error(`thrown: ${String(error)}`)
  }
}

/** A case that took long may only have waited for the machine, so it is run again by the processor's clock. */
async function checkTime(target: Target, bytes: Uint8Array): Promise<Outcome | Error> {
  const before = process.cpuUsage()
  const checked = await check(target, bytes)
  const { user, system } = process.cpuUsage(before)
  const seconds = (user + system) / 1e6
  return seconds > CASE_SECONDS_MAX ? new Error(`took ${seconds} s of processor time`) : checked
}

function count(target: Target, { code, drops }: Outcome): void {
  const outcome = `${target.name} ${code ?? 'good'}`
  tally.outcomes[outcome] = (tally.outcomes[outcome] ?? 0) + 1
  for (let reason = 0; reason < drops.length; reason++) {
    const name = DROP_REASON_NAMES[reason]!
    if (drops[reason]! > 0) tally.drops[name] = (tally.drops[name] ?? 0) + 1
  }
}

/** The same for failures of one cause: the message without its numbers, and where it came from. */
function signatureOf(target: Target, failure: Error): string {
  const from = /\n\s+at (?:async )?(\S+)/.exec(failure.stack ?? '')?.[1] ?? ''
  return `${target.name} ${failure.name} ${failure.message.replace(/\d+/g, '#').slice(0, 60)} ${from}`
}

async function tell(number: number, target: Target, recipe: Recipe, bytes: Uint8Array, failure: Error): Promise<void> {
  tally.failing++
  const signature = signatureOf(target, failure)
  if (told.has(signature) || told.size === FAILURES_TOLD_MAX) return
  told.add(signature)
  const sendFailure = (made: Recipe, input: Uint8Array): void =>
    send({
      kind: 'failure',
      failure: {
        number,
        target: target.name,
        what: `${failure.name}: ${failure.message}`,
        stack: failure.stack ?? '',
        made: describeRecipe(made),
        input: Buffer.from(input).toString('base64'),
      },
    })
  // Told at once as well: a smaller input may never come back.
  sendFailure(recipe, bytes)
  const stillFails = async (input: Uint8Array): Promise<boolean> => {
    const other = await check(target, input)
    return other instanceof Error && signatureOf(target, other) === signature
  }
  const smaller = await minimiseRecipe(recipe, stillFails)
  sendFailure(smaller, await minimiseBytes(applyRecipe(smaller), stillFails))
}
