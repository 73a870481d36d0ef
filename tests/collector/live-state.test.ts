import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { BatchWriter } from '../../collector/batch-writer.ts'
import { LiveState } from '../../collector/live-state.ts'
import type { CaptureProgress } from '../../collector/live-state-text.ts'
import type { BatchMetadata } from '../../schemas/batch.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// The state of live reading, with a crash at each step of writing a batch: what the next start makes of what is there.

const newFolder = temporaryFolders()

const METADATA: BatchMetadata = {
  schema_version: 1,
  sensor: 's',
  telescope_epoch: 1,
  spans: [],
  flows: 0,
  packets_read: 7,
  packets_kept: 0,
  drops: { not_ip: 7 },
  first_packet: null,
  last_packet: null,
}

const progress = (packets: number, identity = 'a'.repeat(64)): CaptureProgress => ({
  identity,
  firstSeconds: 1_763_800_000.5,
  packets,
  path: 'in/a.pcap',
  device: '64',
  inode: '12',
  bytes: 500,
  modified: '1763800000000000001',
})

function open(out: string): { state: LiveState; notes: string[] } {
  const state = new LiveState(out, 's')
  const notes: string[] = []
  state.open(note => notes.push(note))
  return { state, notes }
}

const packetsOf = (state: LiveState) => [...state.captures.values()].map(({ packets }) => packets)
const batchesIn = (folder: string) => readdirSync(folder).filter(name => name.endsWith('.arrow'))

/** Writes a batch after which 7 packets are counted. */
function writeBatch(out: string, state: LiveState): string {
  state.captures.set('a'.repeat(64), progress(0))
  state.onCommit = () => state.captures.set('a'.repeat(64), progress(7))
  return new BatchWriter(out, METADATA, state).finish().sha256
}

/** A crash right after the batch was written down: it has no name yet. */
function crashBeforeNaming(out: string): string {
  const { state } = open(out)
  const sha256 = writeBatch(out, state)
  const saved = JSON.parse(readFileSync(join(out, 's.state.json'), 'utf8')) as { batch: { temporary: string } }
  renameSync(join(out, `${sha256}.arrow`), join(out, 'tmp', saved.batch.temporary))
  return sha256
}

describe('state of live reading', () => {
  it('is readable by its owner only, and is there from the start', () => {
    const out = newFolder()
    open(out)
    expect(statSync(join(out, 's.state.json')).mode & 0o777).toBe(0o600)
    expect(readdirSync(out)).toEqual(['s.state.json'])
  })

  it('keeps how far each capture was read, and forgets what was not in a batch', () => {
    const out = newFolder()
    const { state } = open(out)
    writeBatch(out, state)
    state.captures.set('a'.repeat(64), progress(9))
    expect(packetsOf(open(out).state)).toEqual([7])
  })

  it('a batch that was not written down yet is no batch: its packets are read again', () => {
    const out = newFolder()
    const { state } = open(out)
    // A crash before the state file was replaced: the batch lies there under its temporary name.
    state.commit = () => {
      throw new Error('crash')
    }
    expect(() => writeBatch(out, state)).toThrow('crash')
    expect(readdirSync(join(out, 'tmp')).length).toBe(1)
    const next = open(out)
    expect([packetsOf(next.state), batchesIn(out), readdirSync(join(out, 'tmp'))]).toEqual([[], [], []])
  })

  it('a batch that was written down gets its name at the next start', () => {
    const out = newFolder()
    const sha256 = crashBeforeNaming(out)
    expect(batchesIn(out)).toEqual([])
    const { state, notes } = open(out)
    expect([packetsOf(state), batchesIn(out), readdirSync(join(out, 'tmp')), notes]).toEqual([
      [7],
      [`${sha256}.arrow`],
      [],
      [],
    ])
    // And only once: by the next start it may have been sent.
    rmSync(join(out, `${sha256}.arrow`))
    mkdirSync(join(out, 'receipts'))
    writeFileSync(join(out, 'receipts', `${sha256}.json`), '{}')
    expect([packetsOf(open(out).state), batchesIn(out)]).toEqual([[7], []])
  })

  it.each(['receipts', 'refused'])('a batch that is in %s already is not put into the spool again', folder => {
    const out = newFolder()
    const sha256 = crashBeforeNaming(out)
    mkdirSync(join(out, folder))
    writeFileSync(join(out, folder, `${sha256}.${folder === 'receipts' ? 'json' : 'arrow'}`), '')
    const { state, notes } = open(out)
    expect([packetsOf(state), batchesIn(out), readdirSync(join(out, 'tmp')), notes]).toEqual([[7], [], [], []])
  })

  it('a batch that somebody took away was one; it is told', () => {
    const out = newFolder()
    const { state } = open(out)
    const sha256 = writeBatch(out, state)
    rmSync(join(out, `${sha256}.arrow`))
    const next = open(out)
    expect(packetsOf(next.state)).toEqual([7])
    expect(next.notes).toEqual([
      `batch ${sha256}: neither in ${out} nor among its receipts; its packets are not read again`,
    ])
  })

  it('bytes that may be written down stay when the naming fails', () => {
    const out = newFolder()
    const { state } = open(out)
    state.onCommit = ({ sha256 }) => void mkdirSync(join(out, `${sha256}.arrow`, 'in the way'), { recursive: true })
    expect(() => new BatchWriter(out, METADATA, state).finish()).toThrow(
      expect.objectContaining({ code: 'OUTPUT_UNWRITABLE' }) as Error,
    )
    expect(readdirSync(join(out, 'tmp')).length).toBe(1)
  })

  it('removes what killed processes left, of its own sensor only', () => {
    const out = newFolder()
    mkdirSync(join(out, 'tmp'))
    const own = ['tmp/s.0123456789ab.live', 's.state.json.4194999']
    const others = ['tmp/s2.0123456789ab.live', 's2.state.json.4194999', 's.state.json.old']
    for (const name of [...own, ...others]) writeFileSync(join(out, name), '')
    open(out)
    expect(own.map(name => existsSync(join(out, name)))).toEqual([false, false])
    expect(others.map(name => existsSync(join(out, name)))).toEqual([true, true, true])
  })

  it('is refused while another process reads, and taken over from a dead one', () => {
    const out = newFolder()
    const owned = (owner: object) =>
      writeFileSync(
        join(out, 's.state.json'),
        JSON.stringify({ version: 1, sensor: 's', owner, batch: null, captures: [progress(3)] }),
      )
    const stat = readFileSync(`/proc/${process.ppid}/stat`, 'latin1')
    const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]!
    owned({ pid: process.ppid, started })
    expect(() => open(out)).toThrow(
      expect.objectContaining({
        code: 'DATA_IN_USE',
        message: `state ${join(out, 's.state.json')}: process ${process.ppid} reads live for sensor s into this folder; one at a time can`,
      }) as Error,
    )
    // The same id, but a process that began at another time.
    owned({ pid: process.ppid, started: '1' })
    expect(packetsOf(open(out).state)).toEqual([3])
    owned({ pid: 4_194_999, started: '1' })
    expect(packetsOf(open(out).state)).toEqual([3])
  })

  it('stops a process whose state was taken over, before it writes another batch down', () => {
    const out = newFolder()
    const { state } = open(out)
    open(out)
    expect(() => writeBatch(out, state)).toThrow(expect.objectContaining({ code: 'DATA_IN_USE' }) as Error)
    expect(batchesIn(out)).toEqual([])
  })

  it('forgets captures that are gone, but for the latest thousand', () => {
    const { state } = open(newFolder())
    const identity = (index: number) => String(index).padStart(64, '0')
    for (let index = 0; index < 1500; index++) state.captures.set(identity(index), progress(1, identity(index)))
    state.forgetGone(new Set([identity(0), identity(1)]))
    expect(state.captures.size).toBe(1002)
    expect([0, 1, 2, 499, 500].map(index => state.captures.has(identity(index)))).toEqual([
      true,
      true,
      false,
      false,
      true,
    ])
  })
})

describe('a state file that is not ours', () => {
  const good = { version: 1, sensor: 's', owner: null, batch: null, captures: [progress(1)] }
  const advice = 'move it away to have all captures read from their beginning, also what is in batches already'
  it.each([
    ['{', /is no JSON \(.*\)/],
    [JSON.stringify({ ...good, version: 2 }), 'has version 2, this Hirundo reads 1'],
    [JSON.stringify({ ...good, sensor: 'other' }), 'is of sensor "other"'],
    [JSON.stringify({ ...good, owner: { pid: -1, started: null } }), 'names no process as owner'],
    [JSON.stringify({ ...good, batch: { sha256: 'b'.repeat(64), temporary: '../../x' } }), 'names no batch'],
    [JSON.stringify({ ...good, captures: {} }), 'has no capture at place 1 of its list'],
    [
      JSON.stringify({ ...good, captures: [progress(1), { ...progress(1), packets: -1 }] }),
      'has no capture at place 2 of its list',
    ],
    [JSON.stringify({ ...good, captures: [{ ...progress(1), modified: 5 }] }), 'has no capture at place 1 of its list'],
    ['null', 'has version undefined, this Hirundo reads 1'],
  ])('%s', (text, what) => {
    const out = newFolder()
    const path = join(out, 's.state.json')
    writeFileSync(path, text)
    const message = what instanceof RegExp ? expect.stringMatching(what) : `state ${path}: ${what}; ${advice}`
    expect(() => open(out)).toThrow(expect.objectContaining({ code: 'STATE_INVALID', message }) as Error)
    expect(readFileSync(path, 'utf8')).toBe(text)
  })
})
