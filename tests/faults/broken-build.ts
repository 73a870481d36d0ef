import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RECEIPT } from '../../schemas/catalog.ts'
import { ROOT } from '../support/external.ts'

/** The built program as it is. */
export const BUILD = join(ROOT, 'dist')

/** One change to the built JavaScript. */
export interface Change {
  /** Below dist/. */
  readonly file: string
  /** Text that stands there exactly once, whatever the layout of the source. */
  readonly from: string
  readonly to: string
}

const PARTS = ['analytics', 'bin', 'collector', 'dashboard', 'fixtures', 'schemas', 'web']

/**
 * A copy of the built program with lines replaced: what a defect would make of it. The product has no switch for
 * faults.
 * @returns its folder, and what removes it
 */
export function brokenBuild(changes: readonly Change[]): { build: string; remove(): void } {
  const root = mkdtempSync(join(tmpdir(), 'hirundo-broken-'))
  const build = join(root, 'dist')
  mkdirSync(build)
  for (const part of PARTS) cpSync(join(BUILD, part), join(build, part), { recursive: true })
  for (const name of ['node_modules', 'package.json']) symlinkSync(join(ROOT, name), join(root, name))
  for (const { file, from, to } of changes) {
    const path = join(build, file)
    const text = readFileSync(path, 'utf8')
    const times = text.split(from).length - 1
    if (times !== 1)
      throw new Error(`${file} holds "${from}" ${times} times, expected once; the harness is out of date`)
    writeFileSync(
      path,
      text.replace(from, () => to),
    )
  }
  return { build, remove: () => rmSync(root, { recursive: true, force: true }) }
}

/** Runs with a broken copy, which is removed at the end. */
export async function withBrokenBuild<T>(changes: readonly Change[], work: (build: string) => Promise<T>): Promise<T> {
  const { build, remove } = brokenBuild(changes)
  try {
    return await work(build)
  } finally {
    remove()
  }
}

/** Defects that the tests must find. */
export const DEFECTS = {
  noFolderSync: [{ file: 'dashboard/server/receive.js', from: 'await syncFolder(dirname(path));', to: '' }],
  acknowledgeBeforeCommit: [
    {
      file: 'dashboard/server/receive.js',
      from: 'const { receipt } = await trustedStep(this.#onBroken, record);',
      to: `setTimeout(() => trustedStep(this.#onBroken, record).catch(() => {}), 500);
        const nothing = ${JSON.stringify(Object.fromEntries(Object.keys(RECEIPT).map(column => [column, null])))};
        const received_at = new Date().toISOString();
        const receipt = { ...nothing, sensor, sha256, kind, state: 'received', byte_count: byteCount, received_at };`,
    },
  ],
  noDedupe: [
    {
      file: 'analytics/count-group.js',
      from: 'counted.push(earlier === null ? upload : { ...upload, duplicate_of: earlier, batches: [] });',
      to: 'counted.push(upload);',
    },
  ],
  syncErrorSwallowed: [
    {
      file: 'dashboard/server/receive.js',
      from: 'await trustedStep(this.#onBroken, () => file.sync());',
      to: 'await file.sync().catch(() => {});',
    },
    {
      file: 'dashboard/server/receive.js',
      from: 'await syncFolder(dirname(path));',
      to: 'await syncFolder(dirname(path)).catch(() => {});',
    },
  ],
  noUploadQuota: [{ file: 'dashboard/server/upload-quotas.js', from: 'if (open >= connections)', to: 'if (false)' }],
  noLimitForHeaders: [
    { file: 'dashboard/server/time-limits.js', from: 'HEADERS_MILLISECONDS = 60_000', to: 'HEADERS_MILLISECONDS = 0' },
  ],
  senderStartsAnew: [
    {
      file: 'collector/resumable-upload.js',
      from: 'return await this.#find(this.#path);',
      to: '{ this.#offset = 0; this.#isUnsure = false; return null; }',
    },
  ],
  gapsNotReported: [{ file: 'analytics/sequence-gaps.js', from: 'if (last > highest)', to: 'if (false)' }],
  batchBeforeReceipt: [
    {
      file: 'collector/send.js',
      from: 'spool.settle(sha256, outcome.receipt);',
      to: `(await import('node:fs')).rmSync(spool.batchPath(sha256), { force: true });
        spool.settle(sha256, outcome.receipt);`,
    },
  ],
  stopDropsReceived: [
    {
      file: 'dashboard/server/hub.js',
      from: 'await Promise.all([counter.stop(), upkeep.stop()]);',
      to: `await Promise.all([counter.stop(), upkeep.stop()]);
            const { rm } = await import('node:fs/promises');
            for (const name of ['captures', 'batches']) await rm(folder.root + '/inbox/' + name, { recursive: true, force: true });`,
    },
  ],
  noWatchdog: [
    {
      file: 'dashboard/server/parse-child-process.js',
      from: 'const timer = setTimeout(',
      to: 'const timer = ((..._) => undefined)(',
    },
  ],
  triesForgotten: [
    { file: 'dashboard/server/parse-tries.js', from: 'const text = readWhenThere(path);', to: 'const text = null;' },
  ],
  migrationInSteps: [
    {
      file: 'analytics/migrations.js',
      from: 'await database.transaction(async (session) => {',
      to: 'await (async (work) => { const session = await database.session(); await work(session); session.close(); })(async (session) => {',
    },
  ],
  noReserve: [
    { file: 'dashboard/server/disk-reserve.js', from: 'if (free - needed >= reserve)', to: 'if (true)' },
    {
      file: 'dashboard/server/disk-reserve.js',
      from: 'return free - content * COUNTING_FACTOR >= reserveOf(total) / 2;',
      to: 'return true;',
    },
  ],
} as const satisfies Record<string, readonly Change[]>
