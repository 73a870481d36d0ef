import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CommandProcess } from '../support/hub-process.ts'
import type { FaultOptions, FaultReport } from './fault-test.ts'
import { FaultyHub } from './faulty-hub.ts'
import { readStraceLog, type SystemCall } from './strace-log.ts'

/**
 * The sensor's half of the promise, as R4 is the hub's: the order of the system calls before a batch leaves the spool.
 * Its receipt is written, synced, named, and the name is synced; then the batch goes. Whoever kills the sender between
 * any two of them finds the one or the other.
 */

const BATCHES = { long: 200, short: 8 }
const BATCH_BYTES = 4000
const TRACED = 'trace=fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat'
/** The hub sets random bytes aside; that is a receipt, too. */
const SOME_SET_ASIDE = 3

export async function senderOrder({ short, build, rounds }: FaultOptions): Promise<FaultReport> {
  const count = rounds ?? BATCHES[short ? 'short' : 'long']
  const hub = await FaultyHub.prepare(build, 1)
  const folder = mkdtempSync(join(tmpdir(), 'hirundo-sender-'))
  const [spool, log, identity] = ['spool', 'strace.log', 'identity.json'].map(name => join(folder, name)) as [
    string,
    string,
    string,
  ]
  try {
    await hub.start()
    const { sensor } = hub.sensors[0]!
    writeFileSync(identity, JSON.stringify({ sensor, token: hub.token(sensor) }), { mode: 0o600 })
    mkdirSync(spool)
    const digests = Array.from({ length: count }, () => {
      const bytes = randomBytes(BATCH_BYTES)
      const sha256 = createHash('sha256').update(bytes).digest('hex')
      writeFileSync(join(spool, `${sha256}.arrow`), bytes)
      return sha256
    })
    const wrapper = ['strace', '-f', '-qq', '-y', '-s', '400', '-o', log, '-e', TRACED]
    const sending = ['send', '--spool', spool, '--hub', hub.url, '--identity', identity]
    const { status, stderr } = await new CommandProcess(sending, { wrapper, build }).finished
    const calls = readStraceLog(log)
    const violations = digests.flatMap(sha256 => orderViolation(calls, sha256))
    if (status !== 0 && status !== SOME_SET_ASIDE) violations.push(`send ended with ${status}: ${stderr}`)
    return { violations, figures: { batches: count, 'system calls': calls.length } }
  } finally {
    await hub.remove()
    rmSync(folder, { recursive: true, force: true })
  }
}

function orderViolation(calls: readonly SystemCall[], sha256: string): string[] {
  const shown = sha256.slice(0, 12)
  const gone = calls.find(({ name, text }) => name.startsWith('unlink') && text.includes(`/${sha256}.arrow"`))
  if (!gone) return [`${shown}: the batch was not removed`]
  const missing = (what: string): string[] => [`${shown}: no ${what} before the batch is removed`]
  const rename = calls.find(({ name, text }) => name.startsWith('rename') && text.includes(`/receipts/${sha256}.json"`))
  if (!rename || rename.end > gone.begin) return missing('receipt')
  const temporary = /"([^"]+)"/.exec(rename.text)?.[1]
  const syncs = calls.filter(({ name, text }) => /^f(data)?sync$/.test(name) && / = 0$/.test(text))
  if (!syncs.some(({ text, end }) => text.includes(`${temporary}>`) && end < rename.begin)) {
    return missing('fsync of the receipt, before its rename,')
  }
  const isNamed = syncs.some(
    ({ text, begin, end }) => text.includes('/receipts>') && begin > rename.end && end < gone.begin,
  )
  return isNamed ? [] : missing('fsync of the folder of receipts')
}
