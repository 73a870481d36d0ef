import { describe, expect, it } from 'vitest'
import { chooseBucket, resolveRange, shiftRange, zoomRange } from '../../../dashboard/web/range.ts'

const DAY = 86_400
const data = { since: 0, until: 35 * DAY }

describe('resolveRange', () => {
  it('ends presets where the data ends', () => {
    expect(resolveRange('7d', data)).toEqual({ since: 28 * DAY, until: 35 * DAY })
    expect(resolveRange('all', data)).toEqual(data)
    expect(resolveRange({ since: 1, until: 2 }, data)).toEqual({ since: 1, until: 2 })
  })
})

describe('chooseBucket', () => {
  it.each([
    { since: 0, until: 7 * DAY, wish: 'auto', bucket: 3600, why: 'a week in hours can be seen' },
    { since: 0, until: 28 * DAY, wish: 'auto', bucket: DAY, why: 'more points than pixels' },
    { since: 0, until: 28 * DAY, wish: 3600, bucket: 3600, why: 'wished for' },
    { since: 0, until: 101 * DAY, wish: 3600, bucket: DAY, why: 'more than the hub serves' },
    { since: 3600, until: 28 * DAY, wish: DAY, bucket: 3600, why: 'the hub refuses days that are cut' },
  ] as const)('$wish on $since to $until: $why', ({ since, until, wish, bucket }) => {
    expect(chooseBucket({ since, until }, wish)).toBe(bucket)
  })
})

describe('shiftRange', () => {
  const week = { since: 28 * DAY, until: 35 * DAY }
  it('moves one period', () => {
    expect(shiftRange(week, data, -1)).toEqual({ since: 21 * DAY, until: 28 * DAY })
  })
  it('stops at the edges with its length kept', () => {
    expect(shiftRange({ since: 3 * DAY, until: 10 * DAY }, data, -1)).toEqual({ since: 0, until: 7 * DAY })
    expect(shiftRange({ since: 25 * DAY, until: 32 * DAY }, data, 1)).toEqual(week)
  })
  it('reaches the data in one step from outside it', () => {
    expect(shiftRange({ since: -90 * DAY, until: -83 * DAY }, data, 1)).toEqual({ since: 0, until: 7 * DAY })
    expect(shiftRange({ since: 80 * DAY, until: 87 * DAY }, data, -1)).toEqual(week)
  })
  it('has nowhere to go at an edge', () => {
    expect(shiftRange(week, data, 1)).toBeNull()
    expect(shiftRange({ since: 0, until: 7 * DAY }, data, -1)).toBeNull()
    expect(shiftRange({ since: -5 * DAY, until: 35 * DAY }, data, -1)).toBeNull()
  })
})

describe('zoomRange', () => {
  it('takes whole buckets, in either direction of the hand', () => {
    expect(zoomRange(data, 1.2 * DAY, 3.4 * DAY, DAY)).toEqual({ since: DAY, until: 4 * DAY })
    expect(zoomRange(data, 3.4 * DAY, 1.2 * DAY, DAY)).toEqual({ since: DAY, until: 4 * DAY })
  })
  it('ends on a boundary without taking the bucket after it', () => {
    expect(zoomRange(data, DAY, 2 * DAY, DAY)).toEqual({ since: DAY, until: 2 * DAY })
  })
  it('stays within the range', () => {
    expect(zoomRange(data, -DAY, 99 * DAY, DAY)).toEqual(data)
    expect(zoomRange(data, 40 * DAY, 50 * DAY, DAY)).toBeNull()
  })
})
