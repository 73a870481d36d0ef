import { join } from 'node:path'
import type { FaultOptions, FaultReport } from './fault-test.ts'
import { FaultyHub } from './faulty-hub.ts'
import { readStraceLog, type SystemCall } from './strace-log.ts'
import { asBatch, type MadeUpload, makeCapture } from './upload-maker.ts'

/**
 * R4: the order of the system calls before each answer that gives a receipt: fsync of the file, rename, fsync of the
 * folder, fsync of the catalog, answer.
 */

const UPLOADS = { long: 500, short: 40 }
const CLIENTS = 8
const TRACED = 'trace=fsync,fdatasync,rename,renameat,renameat2,write,writev'
/** The head of an answer with its location fits. */
const SHOWN_BYTES = '1200'

export async function receiptOrder({ short, build, print }: FaultOptions): Promise<FaultReport> {
  const count = short ? UPLOADS.short : UPLOADS.long
  const hub = await FaultyHub.prepare(build, 2)
  const log = join(hub.data, 'strace.log')
  try {
    await hub.start({ wrapper: ['strace', '-f', '-qq', '-y', '-s', SHOWN_BYTES, '-o', log, '-e', TRACED] })
    const queue: MadeUpload[] = []
    for (let content = 0; content < count; content++) {
      const sensor = hub.sensors[content % hub.sensors.length]!
      const capture = makeCapture(sensor, content, 1024 * (1 + (content % 50)))
      queue.push(content % 4 === 0 ? await asBatch(capture, sensor) : capture)
    }
    const uploads = [...queue]
    const statuses: number[] = []
    const client = async (): Promise<void> => {
      for (let upload = queue.shift(); upload; upload = queue.shift()) {
        statuses.push((await hub.put(upload))?.status ?? 0)
      }
    }
    await Promise.all(Array.from({ length: CLIENTS }, client))
    print(`${statuses.length} answers`)
    // Ended before the log is read: strace has written all of it then.
    await hub.stop()
    const wrong = statuses.filter(status => status !== 201)
    const calls = readStraceLog(log)
    const violations = uploads.flatMap(upload => orderViolation(calls, upload))
    if (wrong.length > 0) violations.push(`${wrong.length} uploads were not answered with 201 but with ${wrong[0]}`)
    return { violations, figures: { uploads: count, 'system calls': calls.length } }
  } finally {
    await hub.remove()
  }
}

/** What is missing of the order of one upload, looked for from the answer backwards in time. */
function orderViolation(calls: readonly SystemCall[], { sensor, kind, sha256 }: MadeUpload): string[] {
  const folder = `inbox/${kind === 'batch' ? 'batches' : 'captures'}/${sensor}`
  const answer = calls.find(({ name, text }) => name.startsWith('write') && isAnswer(text) && text.includes(sha256))
  const rename = calls.find(({ name, text }) => name.startsWith('rename') && text.includes(`${folder}/${sha256}"`))
  if (!answer) return [`${sha256.slice(0, 12)}: no answer is in the log`]
  const missing = (what: string): string[] => [`${sha256.slice(0, 12)}: no ${what} before the answer`]
  const arriving = /inbox\/tmp\/[0-9a-f-]+/.exec(rename?.text ?? '')?.[0]
  if (!rename || !arriving || rename.end > answer.begin) return missing('rename')
  const syncs = calls.filter(({ name, text }) => /^f(data)?sync$/.test(name) && / = 0$/.test(text))
  const file = syncs.find(({ text, end }) => text.includes(`${arriving}>`) && end < rename.begin)
  if (!file) return missing('fsync of the file, before its rename,')
  const names = syncs.find(({ text, begin }) => text.includes(`${folder}>`) && begin > rename.end)
  if (!names || names.end > answer.begin) return missing('fsync of the folder, behind the rename,')
  const catalog = syncs.find(
    ({ text, begin, end }) => text.includes('/catalog.duckdb') && begin > names.end && end < answer.begin,
  )
  return catalog ? [] : missing('fsync of the catalog, behind that of the folder,')
}

function isAnswer(text: string): boolean {
  return /HTTP\/1\.1 20[01] /.test(text)
}
