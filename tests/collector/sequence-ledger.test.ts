import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { SequenceLedger } from '../../collector/sequence-ledger.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// Numbers of batches, as a sender that may die at any moment keeps them.

const newFolder = temporaryFolders()
const [A, B, C, D] = ['a', 'b', 'c', 'd'].map(digit => digit.repeat(64)) as [string, string, string, string]

function spoolWith(...batches: string[]): string {
  const spool = newFolder()
  for (const sha256 of batches) writeFileSync(join(spool, `${sha256}.arrow`), sha256)
  return spool
}

/** A process that dies leaves the ledger as it is; this one has to let it go. */
function reopened(spool: string, ledger: SequenceLedger): SequenceLedger {
  const path = join(spool, 'sequence.json')
  const left = existsSync(path) ? readFileSync(path) : null
  ledger.close()
  if (left !== null) writeFileSync(path, left)
  return new SequenceLedger(spool)
}

describe('numbers', () => {
  it('are given in order, kept over a restart, and never given again', () => {
    const spool = spoolWith(A, B)
    let ledger = new SequenceLedger(spool)
    expect(existsSync(join(spool, 'sequence.json'))).toBe(false)
    ledger.assign([A, B])
    const first = ledger.sequenceOf(A)
    expect(first).toMatchObject({ number: 1, oldest: 1, gone: [] })
    ledger = reopened(spool, ledger)
    expect(ledger.sequenceOf(B)).toEqual({ ...first, number: 2 })
    mkdirSync(join(spool, 'receipts'))
    for (const sha256 of [A, B]) writeFileSync(join(spool, 'receipts', `${sha256}.json`), '{}')
    ledger.assign([C])
    ledger = reopened(spool, ledger)
    expect(ledger.sequenceOf(C)).toEqual({ ...first, number: 3, oldest: 3 })
    ledger.close()
  })

  it('of what will never come are told with the reason, until the hub has heard', () => {
    const spool = spoolWith(A, B, C, D)
    let ledger = new SequenceLedger(spool)
    ledger.assign([A, B, C, D])
    ledger.evict(A)
    ledger.evict(B)
    expect([A, B].some(sha256 => existsSync(join(spool, `${sha256}.arrow`)))).toBe(false)
    mkdirSync(join(spool, 'refused'))
    writeFileSync(join(spool, 'refused', `${C}.json`), '{"code":"BATCH_SENSOR_MISMATCH"}')
    ledger.assign([D])
    ledger = reopened(spool, ledger)
    const { gone, oldest } = ledger.sequenceOf(D)
    expect([oldest, gone]).toEqual([
      4,
      [
        { first: 1, last: 2, reason: 'evicted' },
        { first: 3, last: 3, reason: 'refused' },
      ],
    ])
    ledger.told(gone)
    ledger = reopened(spool, ledger)
    expect(ledger.sequenceOf(D).gone).toEqual([])
    rmSync(join(spool, `${D}.arrow`))
    ledger.assign([])
    writeFileSync(join(spool, `${A}.arrow`), A)
    ledger.assign([A])
    // Made again, it is another upload.
    expect(ledger.sequenceOf(A)).toMatchObject({ number: 5, gone: [{ first: 4, last: 4, reason: 'removed' }] })
    ledger = reopened(spool, ledger)
    expect(existsSync(join(spool, `${A}.arrow`))).toBe(true)
    ledger.close()
  })

  it('given up by a process that died before it removed the batch stay given up', () => {
    const spool = spoolWith(A, B)
    const saved = { version: 1, spool: '0f3a9c21', owner: null, next: 3, numbers: { [B]: 2 } }
    const gone = [{ first: 1, last: 1, reason: 'evicted' }]
    writeFileSync(join(spool, 'sequence.json'), JSON.stringify({ ...saved, gone, evicted: [A] }))
    const ledger = new SequenceLedger(spool)
    expect(existsSync(join(spool, `${A}.arrow`))).toBe(false)
    ledger.assign([B])
    expect(ledger.sequenceOf(B)).toEqual({ number: 2, spool: '0f3a9c21', oldest: 2, gone })
    ledger.close()
  })
})

describe('a ledger', () => {
  it('has one sender at a time', () => {
    const spool = spoolWith(A)
    const ledger = new SequenceLedger(spool)
    const inUse = expect.objectContaining({ code: 'DATA_IN_USE' })
    expect(() => new SequenceLedger(spool)).toThrow(inUse)
    ledger.assign([A])
    // Another process took it over, as in another container that does not see this one.
    const text = readFileSync(join(spool, 'sequence.json'))
    rmSync(join(spool, 'sequence.json'))
    writeFileSync(join(spool, 'other'), '')
    writeFileSync(join(spool, 'sequence.json'), text)
    expect(() => ledger.assign([A, B])).toThrow(inUse)
    expect(() => ledger.close()).toThrow(inUse)
    new SequenceLedger(spool).close()
  })

  it.each([
    '',
    '{}',
    'null',
    '{"version":2}',
    `{"version":1,"spool":"0f3a9c21","next":1,"numbers":{"${A}":1},"gone":[],"evicted":[]}`,
    '{"version":1,"spool":"../../..","next":1,"numbers":{},"gone":[],"evicted":[]}',
    '{"version":1,"spool":"0f3a9c21","next":1,"numbers":{},"gone":[],"evicted":["../../x"]}',
  ])('that is damaged is refused: %s', text => {
    const spool = newFolder()
    writeFileSync(join(spool, 'sequence.json'), text)
    expect(() => new SequenceLedger(spool)).toThrow(expect.objectContaining({ code: 'STATE_INVALID' }))
  })
})
