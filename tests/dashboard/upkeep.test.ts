import { describe, expect, test } from 'vitest'
import { Upkeep, type UpkeepJob } from '../../dashboard/server/upkeep.ts'
import { TelescopeError } from '../../schemas/errors.ts'

// Jobs that only note what is done with them: the scheduling itself is what is looked at.

function watched(jobs: readonly UpkeepJob[]) {
  const errors: string[] = []
  const broken: unknown[] = []
  const upkeep = new Upkeep({
    jobs,
    onError: (_, what) => errors.push(what),
    onBroken: error => broken.push(error),
  })
  return { upkeep, errors, broken }
}

const HOUR = 3_600_000

describe('upkeep', () => {
  test('a job goes on while there is more to do, one at a time, and the others have their turns between', async () => {
    const done: string[] = []
    let atOnce = 0
    const job = (name: string, steps: number): UpkeepJob => {
      let left = steps
      return {
        name,
        everyMilliseconds: HOUR,
        async step() {
          expect(++atOnce).toBe(1)
          await new Promise(resolve => setImmediate(resolve))
          atOnce--
          done.push(name)
          return --left > 0
        },
      }
    }
    const { upkeep, errors } = watched([job('a', 3), job('b', 1)])
    upkeep.start()
    await expect.poll(() => done).toEqual(['a', 'b', 'a', 'a'])
    await upkeep.stop()
    expect(errors).toEqual([])
  })

  test('a full disk is told and does not stop the hub, nor the other jobs', async () => {
    let others = 0
    const full: UpkeepJob = {
      name: 'merging',
      everyMilliseconds: HOUR,
      step: async () => {
        throw new TelescopeError('DISK_FULL', 'disk is full')
      },
    }
    const other: UpkeepJob = { name: 'other', everyMilliseconds: HOUR, step: async () => ++others < 5 }
    const { upkeep, errors, broken } = watched([full, other])
    upkeep.start()
    await expect.poll(() => others).toBe(5)
    await upkeep.stop()
    expect(errors).toEqual(['merging failed; it is tried again later'])
    expect(broken).toEqual([])
  })

  test('a failure that is final ends it and the hub, whatever job met it', async () => {
    const fatal = new TelescopeError('STORAGE_FAILED', 'fsync failed', { fatal: true })
    const { upkeep, broken, errors } = watched([{ name: 'a', everyMilliseconds: 0, step: () => Promise.reject(fatal) }])
    upkeep.start()
    await expect.poll(() => broken).toEqual([fatal])
    await upkeep.stop()
    expect(broken).toEqual([fatal])
    expect(errors).toEqual([])
  })

  test('stopping calls off the step under way, and tells of no error', async () => {
    let begun = false
    const long: UpkeepJob = {
      name: 'long',
      everyMilliseconds: HOUR,
      step: signal =>
        new Promise((_, reject) => {
          begun = true
          signal.addEventListener('abort', () => reject(signal.reason))
        }),
    }
    const { upkeep, errors } = watched([long])
    upkeep.start()
    await expect.poll(() => begun).toBe(true)
    await upkeep.stop()
    expect(errors).toEqual([])
  })
})
