import { describe, expect, it } from 'vitest'
import { formatSequence, GONE_MAX, parseSequence, type UploadSequence } from '../../schemas/upload-sequence.ts'

const spool = '0f3a9c21'

describe('headers of numbered uploads', () => {
  it.each<[string, UploadSequence, string, string | undefined]>([
    ['a number alone', { number: 17, spool, oldest: null, gone: [] }, '17;spool="0f3a9c21"', undefined],
    ['what is still held', { number: 17, spool, oldest: 15, gone: [] }, '17;spool="0f3a9c21";oldest=15', undefined],
    [
      'what is gone',
      {
        number: 17,
        spool,
        oldest: 17,
        gone: [
          { first: 3, last: 7, reason: 'evicted' },
          { first: 9, last: 9, reason: 'refused' },
        ],
      },
      '17;spool="0f3a9c21";oldest=17',
      '3;last=7;reason=evicted, 9;reason=refused',
    ],
  ])('are written and read: %s', (_what, value, sequence, gone) => {
    const headers = formatSequence(value)
    expect([headers['hirundo-sequence'], headers['hirundo-gone']]).toEqual([sequence, gone])
    expect(parseSequence(sequence, gone)).toEqual(value)
  })

  it('are optional', () => {
    expect(parseSequence(undefined, undefined)).toBe(null)
  })

  it('may have parameters that come later, and space before them', () => {
    const text = '17; spool="0f3a9c21";later=?1; more=tok/en;text="a b"'
    expect(parseSequence(text, '3; reason=evicted;why="full"')).toEqual({
      number: 17,
      spool,
      oldest: null,
      gone: [{ first: 3, last: 3, reason: 'evicted' }],
    })
  })

  it('name GONE_MAX ranges at a time', () => {
    const gone = Array.from({ length: GONE_MAX + 8 }, (_, index) => {
      const first = index * 2 + 1
      return { first, last: first, reason: 'removed' as const }
    })
    const headers = formatSequence({ number: 500, spool, oldest: null, gone })
    const read = parseSequence(headers['hirundo-sequence'], headers['hirundo-gone'])
    expect(read?.gone).toEqual(gone.slice(0, GONE_MAX))
  })

  it.each([
    ['no number', 'spool="0f3a9c21"', undefined],
    ['zero', '0;spool="0f3a9c21"', undefined],
    ['a negative number', '-1;spool="0f3a9c21"', undefined],
    ['a number of 16 digits', '1000000000000000;spool="0f3a9c21"', undefined],
    ['no spool', '17', undefined],
    ['a spool that is a token', '17;spool=a', undefined],
    ['a spool of other digits', '17;spool="../../etc"', undefined],
    ['an oldest above the number', '17;spool="0f3a9c21";oldest=18', undefined],
    ['an oldest that is no number', '17;spool="0f3a9c21";oldest=x', undefined],
    ['a list', '17;spool="0f3a9c21", 18;spool="0f3a9c21"', undefined],
    ['gone without a number', undefined, '3;reason=evicted'],
    ['gone for no reason', '17;spool="0f3a9c21"', '3'],
    ['gone for the reason that is ours to give', '17;spool="0f3a9c21"', '3;reason=unknown'],
    ['a range backwards', '17;spool="0f3a9c21"', '7;last=3;reason=evicted'],
    ['an empty list', '17;spool="0f3a9c21"', ''],
    [
      'too many ranges',
      '17;spool="0f3a9c21"',
      Array(GONE_MAX + 1)
        .fill('3;reason=evicted')
        .join(', '),
    ],
  ])('are refused with %s', (_what, sequence, gone) => {
    expect(() => parseSequence(sequence, gone)).toThrow(expect.objectContaining({ code: 'QUERY_INVALID' }))
  })
})
