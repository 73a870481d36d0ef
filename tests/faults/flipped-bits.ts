import { join } from 'node:path'
import { walkFiles } from '../../dashboard/server/walk-files.ts'
import { flipBit } from '../support/flip-bit.ts'
import { lakeFilesInUse } from '../support/lake-files.ts'
import type { FaultOptions, FaultReport } from './fault-test.ts'
import { hubWithData, timed } from './stored-data.ts'

/** R8: one bit is flipped in each of many stored files, and `verify` names all of them and nothing else. */

const FILES = { long: 100, short: 10 }
const UPLOAD_BYTES = 2 ** 15

export async function flippedBits({ seed, short, build, rounds }: FaultOptions): Promise<FaultReport> {
  const count = rounds ?? FILES[short ? 'short' : 'long']
  // Every upload is a file, and there is at least one of the lake.
  const hub = await hubWithData(build, count, UPLOAD_BYTES)
  try {
    await hub.stop()
    const all = [
      ...(await lakeFilesInUse(hub.data)),
      ...['captures', 'batches'].flatMap(folder => walkFiles(hub.data, folder)),
    ]
    const files = all.slice(0, count)
    for (const [index, path] of files.entries()) flipBit(join(hub.data, path), seed + index)
    const { status, stdout, stderr, seconds } = await timed(build, 'verify', '--data', hub.data, '--json')
    const violations = status === 3 ? [] : [`verify ended with status ${status}: ${stderr}`]
    const found = new Set(
      (JSON.parse(stdout || '{"findings":[]}') as { findings: { path: string }[] }).findings.map(({ path }) => path),
    )
    if (files.length < count) violations.push(`${files.length} files are there to flip bits in, not ${count}`)
    violations.push(...files.filter(path => !found.has(path)).map(path => `${path} was not found`))
    violations.push(...[...found].filter(path => !files.includes(path)).map(path => `${path} is as it was written`))
    return {
      violations,
      figures: {
        'files of the hub': all.length,
        'bits flipped': files.length,
        found: found.size,
        'verify, s': seconds.toFixed(1),
      },
    }
  } finally {
    await hub.remove()
  }
}
