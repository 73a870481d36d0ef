import { expect, it } from 'vitest'
import { PARSE_LIMITS, ParseChildProcess } from '../../dashboard/server/parse-child-process.ts'
import { ROOT } from '../support/external.ts'

it('a job that comes after the end starts no process, which nobody would end', async () => {
  const child = new ParseChildProcess(`${ROOT}dist/collector/parse-child.js`, PARSE_LIMITS)
  child.close()
  child.load()
  const job = {
    id: 1,
    kind: 'batch',
    input: '/nowhere',
    out: '/nowhere',
    sensor: 's',
    telescope_epoch: 1,
    upload_id: 1,
    telescope: { ipv4_addr_count: 1, check: 0 },
  } as const
  expect(await child.run(job, 1)).toMatchObject({ died: 'was stopped with the hub' })
  expect(child.starts).toBe(0)
})
