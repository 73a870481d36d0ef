import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openStorage } from '../../analytics/duckdb-storage.ts'
import type { ParsedUpload, Storage } from '../../analytics/storage.ts'
import { type TestFlow, testUpload } from '../support/batch-builder.ts'
import { temporaryFolder } from '../support/data-folder.ts'
import { TEST_GEOGRAPHY } from '../support/storage.ts'

// Goal: whatever comes in whatever order (the same bytes, the same content, overlaps; accepted, withdrawn, tried again;
// a restart between any two), the numbers are those of a plain loop over the contents that count. The loop knows
// nothing of spans or flows: which uploads hold the same traffic is known from how they were made.

const START = Date.UTC(2026, 10, 20, 23, 50) / 1000
const ALPHA = { sensor: 'alpha', economy: 'JP', organisation: 'A', telescope: '192.0.2.0/28' }
const UPLOADS = 6

/** Ten minutes each. The first three follow one another; the fourth shares five minutes with two of them. */
function contents(): { flows: TestFlow[]; sharesWith: number[] }[] {
  const stretch = (from: number, shift: number): TestFlow[] =>
    Array.from({ length: 60 }, (_, index) => {
      const second = from + index * 10
      return { time: START + second, src: `198.18.${second >> 8}.${second & 255}`, dst_index: shift, service_port: 23 }
    })
  return [
    { flows: stretch(0, 0), sharesWith: [3] },
    { flows: stretch(600, 0), sharesWith: [3] },
    // Its own packets at the time of another.
    { flows: stretch(600, 1), sharesWith: [] },
    { flows: stretch(300, 0), sharesWith: [0, 1] },
  ]
}

type State = 'absent' | 'received' | 'counted' | 'held' | 'quarantined' | 'withdrawn'
interface Modelled {
  readonly upload: ParsedUpload
  readonly content: number
  state: State
  accepted: boolean
  /** Counts in another one's name. */
  duplicateOf: Modelled | null
}

/** What the storage promises, as a loop. */
class Model {
  readonly uploads: Modelled[]
  readonly #sharesWith: number[][]

  constructor(uploads: readonly ParsedUpload[], sharesWith: number[][]) {
    this.#sharesWith = sharesWith
    this.uploads = uploads.map((upload, index) => ({
      upload,
      content: index % sharesWith.length,
      state: 'absent',
      accepted: false,
      duplicateOf: null,
    }))
  }

  count(group: readonly Modelled[]): void {
    for (const one of group) {
      const same = this.uploads.find(
        other =>
          other !== one && other.state === 'counted' && other.content === one.content && other.duplicateOf === null,
      )
      const sharing = this.uploads.some(
        other => other.state === 'counted' && this.#sharesWith[one.content]!.includes(other.content),
      )
      const twin = group.find(
        other => other !== one && other.content === one.content && group.indexOf(other) < group.indexOf(one),
      )
      if (same) Object.assign(one, { state: 'counted', duplicateOf: same })
      else if (twin?.state === 'held') one.state = 'held'
      else if (sharing && !one.accepted) one.state = 'held'
      else one.state = 'counted'
    }
  }

  withdraw(one: Modelled): void {
    const heir = this.uploads
      .filter(other => other.duplicateOf === one && other.state === 'counted')
      .sort((a, b) => this.order.indexOf(a) - this.order.indexOf(b))[0]
    if (heir) {
      for (const other of this.uploads) if (other.duplicateOf === one && other !== heir) other.duplicateOf = heir
      heir.duplicateOf = null
    }
    Object.assign(one, { state: 'withdrawn', duplicateOf: null })
  }

  /** In the order of their receipts. */
  readonly order: Modelled[] = []

  get packets(): number {
    const counted = this.uploads.filter(one => one.state === 'counted' && one.duplicateOf === null)
    return counted.reduce((sum, { upload }) => sum + upload.packets_kept, 0)
  }
}

const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('send' as const), which: fc.nat(UPLOADS - 1) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('count' as const), which: fc.nat(2) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('withdraw' as const), which: fc.nat(UPLOADS - 1) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('accept' as const), which: fc.nat(UPLOADS - 1) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('quarantine' as const), which: fc.nat(UPLOADS - 1) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('retry' as const), which: fc.nat(UPLOADS - 1) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const), which: fc.constant(0) }) },
)

test('any sequence of uploads, decisions and restarts gives the numbers of a plain loop', async () => {
  const folder = temporaryFolder()
  const made = contents()
  const originals = made.map(({ flows }) => testUpload(folder, { sensor: 'alpha', flows }))
  // The first contents again in another form: other bytes as sent, the same content.
  const uploads = [...originals, ...originals.slice(0, UPLOADS - made.length)].map((upload, index) => ({
    ...upload,
    sha256: index.toString(16).repeat(64),
  }))
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async steps => {
      const data = temporaryFolder()
      const open = () => openStorage({ data, geography: TEST_GEOGRAPHY, threads: 1 })
      let storage: Storage = await open()
      try {
        await storage.addSensor(ALPHA)
        const model = new Model(
          uploads,
          made.map(({ sharesWith }) => sharesWith),
        )
        for (const { kind, which } of steps) {
          const one = model.uploads[which]!
          const { sensor, sha256 } = one.upload
          const decision = { sensor, sha256, actor: 'test' }
          if (kind === 'send') {
            const { created } = await storage.recordReceived({ sensor, sha256, kind: 'batch', byte_count: 1 })
            expect(created).toBe(one.state === 'absent')
            if (created) {
              one.state = 'received'
              model.order.push(one)
            }
          } else if (kind === 'count') {
            // As many as `which` says of what waits, in the order of their arrival.
            const waiting = await storage.pending(which + 1)
            const group = waiting.map(receipt => model.uploads.find(({ upload }) => upload.sha256 === receipt.sha256)!)
            await storage.countGroup(group.map(({ upload }) => upload))
            model.count(group)
          } else if (kind === 'withdraw') {
            if (one.state === 'counted' || one.state === 'held') {
              await storage.withdrawUpload(decision)
              model.withdraw(one)
            } else await expect(storage.withdrawUpload(decision)).rejects.toMatchObject({ code: refusal(one) })
          } else if (kind === 'accept' || kind === 'retry') {
            const from: State[] = kind === 'accept' ? ['held', 'withdrawn'] : ['quarantined']
            if (from.includes(one.state)) {
              await storage.reopenUpload(kind, decision)
              one.state = 'received'
              if (kind === 'accept') one.accepted = true
            } else await expect(storage.reopenUpload(kind, decision)).rejects.toMatchObject({ code: refusal(one) })
          } else if (kind === 'quarantine') {
            await storage.quarantine(sensor, sha256, { code: 'PARSE_FAILED', message: 'test' })
            if (one.state === 'received') one.state = 'quarantined'
          } else {
            await storage.close()
            storage = await open()
          }
        }
        await compare(storage, model)
      } finally {
        await storage.close()
      }
    }),
    { numRuns: 20 },
  )
}, 120_000)

function refusal({ state }: Modelled): string {
  return state === 'absent' ? 'NOT_FOUND' : 'UPLOAD_STATE'
}

async function compare(storage: Storage, model: Model): Promise<void> {
  for (const { upload, state } of model.uploads) {
    expect([upload.sha256, (await storage.findReceipt('alpha', upload.sha256))?.state ?? 'absent']).toEqual([
      upload.sha256,
      state,
    ])
  }
  const range = { since: '2026-11-20', until: '2026-11-22' }
  const { rows } = await storage.query('sensors', range, { sensors: 'all' })
  expect(rows.reduce((sum, row) => sum + row.packet_count, 0)).toBe(model.packets)
  const flows = await storage.query('flows', { ...range, limit: '1' }, { sensors: 'all' })
  expect(flows.meta.total_rows).toBe(model.packets)
  const traffic = await storage.query('traffic', { ...range, by: 'none' }, { sensors: 'all' })
  expect(traffic.rows.reduce((sum, row) => sum + row.packet_count, 0)).toBe(model.packets)
  expect(await storage.verifyAudit()).toBeNull()
}
