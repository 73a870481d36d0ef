import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TOOLS } from '../../schemas/tool.ts'
import { binomialTail, isEvidence, toolEvidence, toolsText } from '../../schemas/tool-evidence.ts'

describe('binomial tail', () => {
  test.each([
    // By hand: 1 - (1-p)^n for k = 1, p^n for k = n, and small sums.
    [1, 1, 2 ** -16, 2 ** -16],
    [2, 2, 2 ** -16, 2 ** -32],
    [1, 100, 2 ** -16, 1 - (1 - 2 ** -16) ** 100],
    [2, 3, 0.25, 3 * 0.25 ** 2 * 0.75 + 0.25 ** 3],
    [3, 10, 0.1, 0.0701908264],
    [5, 4, 0.5, 0],
  ])('at least %i of %i at %f', (k, n, p, expected) => {
    expect(binomialTail(k, n, p)).toBeCloseTo(expected, 10)
    if (expected > 0) expect(binomialTail(k, n, p) / expected).toBeCloseTo(1, 6)
  })

  test('falls with k, for as many packets as a capture can hold', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2_000_000_000 }), fc.integer({ min: 1, max: 50 }), (n, k) => {
        const tail = binomialTail(k, n, 2 ** -16)
        expect(tail).toBeGreaterThanOrEqual(0)
        expect(tail).toBeLessThanOrEqual(1)
        expect(binomialTail(k + 1, n, 2 ** -16)).toBeLessThanOrEqual(tail)
      }),
      { seed: 7 },
    )
  })
})

test.each([
  ['one of one may be chance at 2^-16', 2 ** -16, 1, 1, false],
  ['two of two may not', 2 ** -16, 2, 2, true],
  ['sixteen of a million are as many as chance gives', 2 ** -16, 16, 1_000_000, false],
  ['sixty of a million are not', 2 ** -16, 60, 1_000_000, true],
  ['one of one is enough at 2^-32', 2 ** -32, 1, 1, true],
  ['no match is no evidence', 2 ** -32, 0, 5, false],
  ['a profile needs half of the packets', null, 4, 9, false],
  ['a profile with half of them', null, 5, 10, true],
  ['a profile with one packet', null, 1, 1, false],
])('%s', (_, chance, matches, packets, expected) => {
  expect(isEvidence({ chance }, matches, packets)).toBe(expected)
})

test('evidence: k of n and the chance, most matches first, nothing that may be chance', () => {
  const matches = TOOLS.map(
    ({ name }) => (({ zmap: 2, mirai: 1, nmap: 5, masscan: 1 }) as Record<string, number>)[name] ?? 0,
  )
  expect(toolEvidence(matches, 9)).toEqual([
    { name: 'nmap', matched: 5, packets: 9, chance: null },
    { name: 'zmap', matched: 2, packets: 9, chance: binomialTail(2, 9, 2 ** -16) },
    { name: 'mirai', matched: 1, packets: 9, chance: binomialTail(1, 9, 2 ** -32) },
  ])
  // A thousand matches: the chance is below what a double holds.
  expect(
    toolEvidence(
      TOOLS.map(({ name }) => (name === 'zmap' ? 1000 : 0)),
      1000,
    )[0]?.chance,
  ).toBe(0)
})

test('tools are named with k and n, most matches first', () => {
  const none = { zmap_count: 0, masscan_count: 0, masscan_profile_count: 0, masscan_profile_2023_count: 0 }
  expect(toolsText({ ...none, mirai_count: 2, nmap_count: 6 }, 9)).toBe('nmap 6/9|mirai 2/9')
  expect(toolsText({ ...none, mirai_count: 0, nmap_count: 1 }, 9)).toBe('')
})
