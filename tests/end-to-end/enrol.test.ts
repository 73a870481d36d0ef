import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openDataFolder } from '../../dashboard/server/data-folder.ts'
import { openHubKey } from '../../dashboard/server/hub-key.ts'
import { ROOT } from '../support/external.ts'
import { hirundo, hirundoSucceeds, type RunningHub, startHirundo } from '../support/hirundo.ts'

// A sensor with a key of its own, from its first start to the end of its key, with the real programs.

const SENSOR = 'jp-1'
const TELESCOPE = '198.19.1.0/24'
/** A hub on a busy machine may count later than `send` asks. */
const SENT = expect.stringMatching(/^1 batch sent, 0 refused, 0 waiting; [01] counted, 0 not, [01] not yet\n$/)
const CAPTURE = `${ROOT}fixtures/captures/masscan-syn-23.pcap`

let folder: string
let data: string
let hub: RunningHub

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hirundo-enrol-'))
  data = join(folder, 'data')
  hub = await startHirundo(['serve', '--data', data, '--port', '0'])
})
afterAll(async () => {
  await hub?.stop()
  rmSync(folder, { recursive: true, force: true })
})

it('makes its keys, enrols, sends signed batches, keeps signed receipts, changes its key, and is revoked', async () => {
  const spool = join(folder, 'spool')
  const init = ['sensor', 'init', '--sensor', SENSOR, '--telescope', TELESCOPE, '--out', spool]
  expect((await hirundoSucceeds(init)).stdout).toContain(`sensor add ${SENSOR} --economy CC --telescope ${TELESCOPE}`)
  const identity = join(spool, `${SENSOR}.identity.json`)
  const key = readFileSync(join(spool, `${SENSOR}.key`), 'utf8')
  const made = readFileSync(identity, 'utf8')
  expect(statSync(identity).mode & 0o777).toBe(0o600)
  expect(await hirundo(init)).toMatchObject({ status: 2, stderr: expect.stringContaining('[IDENTITY_EXISTS]') })
  expect([readFileSync(identity, 'utf8'), readFileSync(join(spool, `${SENSOR}.key`), 'utf8')]).toEqual([made, key])

  await hirundoSucceeds(['sensor', 'add', SENSOR, '--economy', 'JP', '--telescope', TELESCOPE, '--data', data])
  const code = (await hirundoSucceeds(['sensor', 'invite', SENSOR, '--data', data])).stdout.trim()
  expect(code).toMatch(/^([0-9A-HJKMNP-TV-Z]{4}-){6}[0-9A-HJKMNP-TV-Z]{4}$/)
  await hirundoSucceeds(['collect', CAPTURE, '--sensor', SENSOR, '--telescope', TELESCOPE, '--out', spool])
  const batch = readdirSync(spool).find(name => name.endsWith('.arrow'))!
  const kept = join(folder, batch)
  cpSync(join(spool, batch), kept)
  const send = ['send', '--spool', spool, '--hub', hub.url, '--identity', identity]
  expect(await hirundo(send)).toMatchObject({ status: 2, stderr: expect.stringContaining('[SENSOR_KEY_UNKNOWN]') })

  await hirundoSucceeds(['sensor', 'enrol', '--identity', identity, '--hub', hub.url, '--code', code])
  expect(await hirundoSucceeds(send)).toMatchObject({ stdout: SENT })
  const receipt = join(spool, 'receipts', batch.replace('.arrow', '.json'))
  const verify = ['receipt', 'verify', receipt, '--hub-key', identity]
  expect((await hirundoSucceeds(verify)).stdout).toContain(`sensor ${SENSOR}`)
  const changed = join(folder, 'changed.json')
  writeFileSync(
    changed,
    readFileSync(receipt, 'utf8').replace(/"byte_count": ?\d/, digits => `${digits}0`),
  )
  expect(await hirundo(['receipt', 'verify', changed, '--hub-key', identity])).toMatchObject({
    status: 3,
    stderr: expect.stringContaining('[RECEIPT_INVALID]'),
  })

  await hirundoSucceeds(['sensor', 'rotate', '--identity', identity, '--hub', hub.url])
  expect(readFileSync(identity, 'utf8')).not.toBe(made)
  cpSync(kept, join(spool, batch))
  expect(await hirundoSucceeds(send)).toMatchObject({ stdout: SENT })
  const { keys } = JSON.parse((await hirundoSucceeds(['sensor', 'keys', SENSOR, '--data', data, '--json'])).stdout)
  expect(keys).toHaveLength(2)

  // A receipt that another key has signed is none: the batch stays.
  const other = mkdtempSync(join(folder, 'other-'))
  const { key_id, public_key } = openHubKey(openDataFolder(other))
  const foreign = join(folder, 'foreign.json')
  const file = JSON.parse(readFileSync(identity, 'utf8'))
  writeFileSync(foreign, JSON.stringify({ ...file, hub_key: { key_id, public_key } }), { mode: 0o600 })
  expect(await hirundo(['receipt', 'verify', receipt, '--hub-key', foreign])).toMatchObject({
    status: 3,
    stderr: expect.stringContaining('[RECEIPT_INVALID]'),
  })

  await hirundoSucceeds(['sensor', 'revoke', SENSOR, '--data', data])
  cpSync(kept, join(spool, batch))
  expect(await hirundo(send)).toMatchObject({ status: 2, stderr: expect.stringContaining('[SENSOR_KEY_REVOKED]') })
  expect(readdirSync(spool)).toContain(batch)
})
