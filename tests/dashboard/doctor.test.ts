import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { dataFolder } from '../../dashboard/server/data-folder.ts'
import { type Diagnosis, diagnose, hubChecks, hubClockCheck } from '../../dashboard/server/doctor-checks.ts'
import { runCommand } from '../support/hub-process.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

const folder = temporaryFolders()
const verdicts = (diagnoses: readonly Diagnosis[]) =>
  Object.fromEntries(diagnoses.map(({ check, verdict }) => [check, verdict]))

describe('doctor', () => {
  it('looks at everything, and finds a sound machine sound', async () => {
    const { stdout, stderr } = await runCommand('doctor', '--data', join(folder(), 'new'), '--port', '0', '--json')
    expect(stderr).toBe('')
    const { checks } = JSON.parse(stdout) as { checks: Diagnosis[] }
    expect(verdicts(checks)).toMatchObject({
      Node: 'OK',
      fsync: expect.stringMatching(/OK|WARN/),
      'data folder': 'OK',
      port: 'OK',
      engine: 'OK',
      'parsing process': 'OK',
    })
    expect(checks.length).toBe(12)
  })

  it('finds a port that is taken, a folder that others may open, a parser that does not start, and a clock that is off', async () => {
    const root = mkdtempSync(join(folder(), 'd-'))
    mkdirSync(join(root, 'keys'))
    writeFileSync(join(root, 'keys', 'x.key'), '')
    chmodSync(join(root, 'keys', 'x.key'), 0o644)
    const server = createServer()
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const found = await diagnose(
      hubChecks(dataFolder(root), port, async () => {
        throw new Error('no parser')
      }),
    )
    server.close()
    expect(verdicts(found)).toMatchObject({ port: 'FAIL', 'data folder': 'FAIL', 'parsing process': 'FAIL' })
    expect(found.find(({ check }) => check === 'parsing process')!.what).toContain('no parser')
    // Nobody listens there.
    expect(verdicts(await diagnose(hubClockCheck(`http://127.0.0.1:${port}`)))).toEqual({ 'clock of the hub': 'FAIL' })
  })

  it('ends with status 3 when something fails, as a table', async () => {
    const root = folder()
    chmodSync(root, 0o755)
    const { status, stdout } = await runCommand('doctor', '--data', root, '--port', '0')
    expect(status).toBe(3)
    expect(stdout).toMatch(/^data folder +FAIL +others may open /m)
  })
})
