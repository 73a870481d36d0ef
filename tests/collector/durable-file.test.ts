import { expect, it } from 'vitest'
import { fileError } from '../../collector/durable-file.ts'
import { TelescopeError } from '../../schemas/errors.ts'

it.each([
  ['ENOSPC', 'DISK_FULL'],
  ['EDQUOT', 'DISK_FULL'],
  ['EACCES', 'OUTPUT_UNWRITABLE'],
  ['EIO', 'OUTPUT_UNWRITABLE'],
])('%s of the file system is %s', (code, expected) => {
  const cause = Object.assign(new Error('write failed'), { code })
  expect(fileError(cause, '/spool')).toMatchObject({ code: expected, cause, details: { path: '/spool' } })
})

it('an error of ours stays what it is', () => {
  const error = new TelescopeError('INTERNAL', 'batch: wrong')
  expect(fileError(error, '/spool')).toBe(error)
})
