import { describe, expect, it } from 'vitest'
import { run } from './resumable-proxy.ts'

// R6 in its short form; the long form is `run` with a thousand uploads.

const SEED = 20261126

describe('uploads through a line that cuts, stalls and trickles', () => {
  it('all complete, no offset goes back, and a cut costs a chunk at most', async () => {
    const figures = await run({ uploads: 40, seed: SEED, log: line => process.stdout.write(`${line}\n`) })
    expect(figures.violations).toEqual([])
    expect(figures.complete).toBe(40)
    // It has seen what it is about.
    expect(Math.min(figures.cuts, figures.stalls, figures.trickles, figures.resentBytes)).toBeGreaterThan(0)
    expect(figures.resentMost).toBeLessThanOrEqual(figures.chunkBytes)
  })

  it('show a hub that tells offsets of bytes it has not got', async () => {
    const { violations } = await run({ uploads: 25, seed: SEED, log: () => {}, breaks: true })
    expect(violations.join('\n')).toMatch(/offset went back|although only/)
  })
})
