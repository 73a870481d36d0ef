import { readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parsedBatches } from '../../collector/parsed-batches.ts'
import { type BatchMetadata, DAYS_PER_UPLOAD_MAX } from '../../schemas/batch.ts'
import { SCHEMA_VERSION } from '../../schemas/flow.ts'
import { DAY_SECONDS, MICROSECONDS } from '../../schemas/time.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// A capture of more days than can be counted ends in the child, at the first batch that is one too many.

const newFolder = temporaryFolders()
const START = Date.UTC(2020, 0, 1) * 1000

function metadataOf(first: number | null, last = first): BatchMetadata {
  return {
    ...{ schema_version: SCHEMA_VERSION, sensor: 'alpha', telescope_epoch: 1, spans: [], flows: 0 },
    ...{ packets_read: 0, packets_kept: 0, drops: {}, first_packet: first, last_packet: last },
  }
}

const day = (number: number) => START + number * DAY_SECONDS * MICROSECONDS

test('takes as many days as can be counted, however many batches they have', () => {
  const open = parsedBatches(newFolder(), 1)
  for (let number = 0; number < DAYS_PER_UPLOAD_MAX; number++) {
    for (const later of [0, 1]) open(metadataOf(day(number) + later)).discard()
  }
  open(metadataOf(null)).discard()
  expect(() => open(metadataOf(day(0), day(DAYS_PER_UPLOAD_MAX)))).toThrow(
    expect.objectContaining({
      code: 'UPLOAD_DAYS_TOO_MANY',
      message: expect.stringContaining('editcap -B 2021-02-04T00:00:00Z'),
    }),
  )
})

test('leaves nothing behind for the one that it refuses', () => {
  const out = newFolder()
  const open = parsedBatches(out, 1)
  expect(() => {
    for (let number = 0; ; number++) open(metadataOf(day(number))).discard()
  }).toThrow(expect.objectContaining({ code: 'UPLOAD_DAYS_TOO_MANY' }))
  expect(readdirSync(out)).toEqual([])
})
