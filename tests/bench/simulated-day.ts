import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { measure } from './measure.ts'

/** The built program; benches run from the build themselves. */
export const PROGRAM = fileURLToPath(new URL('../../bin/main.js', import.meta.url))

/** A capture of one day of a /24, always the same one for so many packets. */
export async function simulateDay(
  out: string,
  packetCount: number,
): Promise<{ path: string; packets: number; telescope: string }> {
  const shape = ['--scenario', 'single', '--packets', String(packetCount), '--days', '1', '--seed', '1']
  await measure([process.execPath, PROGRAM, 'simulate', ...shape, '--out', out], tmpdir())
  const truth = JSON.parse(await readFile(join(out, 'truth.json'), 'utf8')) as {
    sensors: { prefixes: string[] }[]
    captures: { path: string; packets: number }[]
  }
  const capture = truth.captures[0]!
  return { path: join(out, capture.path), packets: capture.packets, telescope: truth.sensors[0]!.prefixes.join(',') }
}
