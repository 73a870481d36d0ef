import { describe, expect, it } from 'vitest'
import { TransferRate } from '../../../dashboard/web/transfer-rate.ts'

describe('TransferRate', () => {
  it('says nothing at first, then the mean', () => {
    const rate = new TransferRate()
    rate.add(0, 0)
    expect(rate.at(0)).toBeNull()
    rate.add(400, 1000)
    expect(rate.at(400)).toBeNull()
    rate.add(1000, 2000)
    expect(rate.at(1000)).toBe(2000)
  })

  it('forgets what is longer ago than its window', () => {
    const rate = new TransferRate()
    for (let second = 0; second <= 20; second++) rate.add(second * 1000, Math.min(second, 10) * 1_000_000)
    rate.add(21_000, 11_000_000)
    // The last ten seconds and more had one megabyte in all.
    expect(rate.at(21_000)).toBeLessThan(150_000)
  })

  it('falls while nothing goes', () => {
    const rate = new TransferRate()
    rate.add(0, 0)
    rate.add(1000, 1_000_000)
    expect(rate.at(4000)).toBe(250_000)
  })

  it('starts anew when bytes are sent again', () => {
    const rate = new TransferRate()
    rate.add(0, 0)
    rate.add(1000, 5_000_000)
    rate.add(2000, 1_000_000)
    rate.add(3000, 1_500_000)
    expect(rate.at(3000)).toBe(500_000)
  })
})
