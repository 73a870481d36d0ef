import { describe, expect, it } from 'vitest'
import { escapeHtml, htmlTable, showRate, showShare } from '../../analytics/report/html.ts'
import { lineChart } from '../../analytics/report/line-chart.ts'
import { weeklyFigures } from '../../analytics/report/weekly-figures.ts'
import type { Ask } from '../../schemas/api.ts'

describe('HTML of the report', () => {
  it('holds text from outside as text', () => {
    expect(escapeHtml(`<img src=x onerror="alert('&')">`)).toBe(
      '&lt;img src=x onerror=&quot;alert(&#39;&amp;&#39;)&quot;&gt;',
    )
    expect(htmlTable('<b>', [{ title: '<i>' }], [['<u>']])).not.toMatch(/<[biu]>/)
    expect(lineChart('"><script>', '<unit>', ['<day>'], [{ label: '<l>', values: [1] }])).not.toMatch(
      /<script|<unit|<day|<l>/,
    )
  })

  it.each([
    [null, '–'],
    [0, '0'],
    [0.012345, '0.0123'],
    [12.345, '12.3'],
    [12345.6, '12,346'],
  ])('writes the rate %s as %s', (rate, text) => {
    expect(showRate(rate)).toBe(text)
  })

  it.each([
    [1, '100%'],
    [0.9997, '>99.9%'],
    [0.123, '12.3%'],
    [0, '0%'],
  ])('writes the share %s as %s', (share, text) => {
    expect(showShare(share)).toBe(text)
  })
})

describe('a line of the chart', () => {
  const line = (values: (number | null)[]) =>
    /<path d="([^"]*)"/.exec(lineChart('title', 'unit', values.map(String), [{ label: 'a', values }]))![1]!

  it('is broken where nobody listened', () => {
    expect(line([1, 2, null, 4, 5]).match(/M/g)).toHaveLength(2)
    expect(line([1, 2, 3, 4, 5]).match(/M/g)).toHaveLength(1)
  })

  it('is drawn when all is zero, or nothing is there', () => {
    expect(line([0, 0])).not.toContain('NaN')
    expect(line([null, null])).toBe('')
  })
})

it('a week in which nobody listened is refused', async () => {
  const meta = {
    since: '',
    until: '',
    previous_since: null,
    sensors: [],
    sensors_left_out: [],
    exposed_addr_days: 0,
    total_rows: 0,
  }
  const ask: Ask = async () => ({ meta, rows: [] })
  await expect(weeklyFigures(ask, '2026-W46', 0)).rejects.toMatchObject({ code: 'WEEK_WITHOUT_DATA' })
  await expect(weeklyFigures(ask, '2026-W99', 0)).rejects.toMatchObject({ code: 'QUERY_INVALID' })
})
