import { expect, test } from 'vitest'
import { exportRows } from '../../analytics/export-rows.ts'
import type { QueryRow } from '../../schemas/api.ts'

const ROW: QueryRow<'sensors'> = {
  sensor: 'alpha',
  economy: 'JP',
  organisation: 'A',
  ipv4_addr_count: 16,
  has_ipv6: true,
  recording_since: '2026-11-01T00:00:00Z',
  packet_count: 1,
  src_addr_unique_count: 2,
  packets_per_addr_day: null,
  coverage: 0.5,
  last_upload_at: '2026-11-22T12:00:00Z',
  pending_count: 0,
  quarantined_count: 0,
  remark_count: 3,
  held_count: 1,
  withdrawn_count: 2,
}
const HEADER =
  'sensor,economy,organisation,ipv4_addr_count,has_ipv6,recording_since,packet_count,src_addr_unique_count,packets_per_addr_day,coverage,last_upload_at,pending_count,quarantined_count,remark_count,held_count,withdrawn_count\r\n'

test('header and rows come from the table; null is empty', () => {
  expect(exportRows('sensors', [ROW])).toBe(
    `${HEADER}alpha,JP,A,16,true,2026-11-01T00:00:00Z,1,2,,0.5,2026-11-22T12:00:00Z,0,0,3,1,2\r\n`,
  )
  expect(exportRows('sensors', [])).toBe(HEADER)
})

test('what is withheld has no column', () => {
  expect(exportRows('flows', []).split('\r\n')[0]!.split(',')).not.toContain('dst_index')
})

test.each([
  ['=HYPERLINK("http://x")', `"'=HYPERLINK(""http://x"")"`],
  ['+1', "'+1"],
  ['-1', "'-1"],
  ['@SUM', "'@SUM"],
  ['\tx', "'\tx"],
  ['\rx', `"'\rx"`],
  ['a,b', '"a,b"'],
  ['a "b"', '"a ""b"""'],
  ['a\nb', '"a\nb"'],
  ['ABC=1', 'ABC=1'],
])('the text %j becomes %s: no formula, RFC 4180', (organisation, expected) => {
  expect(exportRows('sensors', [{ ...ROW, organisation }])).toContain(`JP,${expected},16`)
})

test('a negative number is a number', () => {
  expect(exportRows('sensors', [{ ...ROW, coverage: -0.25 }])).toContain(',-0.25,')
})
