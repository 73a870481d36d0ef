import { type SpawnSyncOptions, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, createWriteStream, openSync, readFileSync, symlinkSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { isLiveInput, openByteSource } from '../../collector/open-byte-source.ts'
import type { CollectSummary } from '../../schemas/batch.ts'
import { pcap } from '../support/capture-builder.ts'
import { hasCommand, ROOT, requireExternal } from '../support/external.ts'
import { concat, ethernet, ipv4, tcp } from '../support/frame-builder.ts'
import { hirundo } from '../support/hirundo.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// Goal: a capture gives the same packets from a file, a named pipe, a pipe, a socket and a redirected file, and a
// pipe that nobody writes to keeps nothing from ending.

const newFolder = temporaryFolders()
const ONE = `${ROOT}fixtures/captures/nmap-syn.pcap`
const hasFifos = requireExternal('mkfifo', hasCommand('mkfifo'))
const hasShell = requireExternal('sh', hasCommand('sh'))

function namedPipe(): string {
  const path = join(newFolder(), 'capture.fifo')
  expect(spawnSync('mkfifo', [path]).status).toBe(0)
  return path
}

async function readAll(path: string): Promise<Uint8Array> {
  const source = openByteSource(path)
  const parts: Uint8Array[] = []
  const target = new Uint8Array(100_000)
  for (;;) {
    const count = await source.read(target, 10, target.length - 10)
    if (count === 0) break
    parts.push(target.slice(10, 10 + count))
  }
  expect(source.error).toBeNull()
  const bytes = concat(...parts)
  expect(source.bytesRead).toBe(bytes.length)
  await source.close()
  return bytes
}

/** More than all buffers of a pipe hold. */
const LONG = Uint8Array.from({ length: 3_000_000 }, (_, at) => (at * 31) >>> 5)

describe('a named pipe', () => {
  test.skipIf(!hasFifos)('hands out all that is written to it, in order', async () => {
    const path = namedPipe()
    expect(isLiveInput(path)).toBe(true)
    const reading = readAll(path)
    createWriteStream(path).end(LONG)
    expect(Buffer.compare(await reading, LONG)).toBe(0)
  })

  test.skipIf(!hasFifos)('closing ends a read that waits for somebody to open it', async () => {
    const source = openByteSource(namedPipe())
    const reading = source.read(new Uint8Array(10), 0, 10)
    // Long enough for the system to be in its open, which nothing else tells.
    await new Promise(resolve => setTimeout(resolve, 100))
    await source.close()
    expect([await reading, source.error]).toEqual([0, null])
  })

  test.skipIf(!hasFifos)('closing ends a read that waits for bytes, and may be done twice', async () => {
    const path = namedPipe()
    const source = openByteSource(path)
    // For reading too, because opening for writing alone would wait for the other side.
    const writer = openSync(path, 'r+')
    writeSync(writer, 'abc')
    const target = new Uint8Array(10)
    expect(await source.read(target, 0, 10)).toBe(3)
    const reading = source.read(target, 0, 10)
    await source.close()
    await source.close()
    expect([await reading, source.error]).toEqual([0, null])
    closeSync(writer)
  })

  test.skipIf(!hasFifos)('is a CAPTURE like a file', async () => {
    const path = namedPipe()
    const asFile = await hirundo(['packets', ONE])
    const reading = hirundo(['packets', path])
    createWriteStream(path).end(gzipSync(readFileSync(ONE)))
    expect(await reading).toEqual(asFile)
  })

  test.skipIf(!hasFifos)('a signal writes what was read from it', async () => {
    const path = namedPipe()
    const out = newFolder()
    const args = ['collect', path, '--sensor', 'jp-1', '--telescope', '198.19.1.0/24', '--out', out, '--json']
    const child = spawn(process.execPath, [`${ROOT}bin/hirundo`, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let stdout = ''
    child.stdout.on('data', text => (stdout += text))
    // Opening for writing ends when the other side opens for reading: from then on it has the signals.
    const writer = createWriteStream(path)
    await once(writer, 'open')
    await new Promise<void>(resolve => writer.write(readFileSync(ONE), () => resolve()))
    // The pipe stays open: it is read for 2 s more, and then no further.
    child.kill('SIGINT')
    expect(await once(child, 'close')).toEqual([0, null])
    writer.destroy()
    expect(JSON.parse(stdout) as CollectSummary).toMatchObject({
      captures: [{ path, packets_kept: 64, error: null }],
      batches: 1,
    })
  })
})

describe('standard input', () => {
  const reads = `const { openByteSource } = await import(process.argv[2])
    const { createHash } = await import('node:crypto')
    const hash = createHash('sha256')
    const source = openByteSource(process.argv[3])
    const target = new Uint8Array(1 << 20)
    for (;;) {
      const count = await source.read(target, 0, target.length)
      if (count === 0) break
      hash.update(target.subarray(0, count))
    }
    await source.close()
    console.log(source.error?.message ?? hash.digest('hex'))`
  const file = join(newFolder(), 'read.mjs')
  writeFileSync(file, reads)
  const program = [file, `${ROOT}dist/collector/open-byte-source.js`]
  const LONG_SHA256 = spawnSync('sha256sum', { input: LONG, encoding: 'utf8' }).stdout.slice(0, 64)

  const said = (path: string, stdin: Pick<SpawnSyncOptions, 'stdio' | 'input'>): string =>
    String(spawnSync(process.execPath, [...program, path], stdin).stdout).trim()

  test('of a socket or pipe', () => {
    expect(said('-', { input: LONG })).toBe(LONG_SHA256)
  })

  test.skipIf(!hasShell)('of a pipe of the shell, by both of its names', () => {
    const path = join(newFolder(), 'long')
    writeFileSync(path, LONG)
    for (const name of ['-', '/dev/stdin']) {
      const { stdout } = spawnSync('sh', ['-c', 'cat "$0" | "$@"', path, process.execPath, ...program, name], {
        encoding: 'utf8',
      })
      expect(stdout.trim()).toBe(LONG_SHA256)
    }
  })

  test('of a file, from where the file stands', () => {
    const path = join(newFolder(), 'long')
    writeFileSync(path, 'abc')
    const descriptor = openSync(path, 'r+')
    writeSync(descriptor, 'x')
    const { stdout } = spawnSync('sha256sum', { input: 'bc', encoding: 'utf8' })
    expect(said('-', { stdio: [descriptor, 'pipe', 'inherit'] })).toBe(stdout.slice(0, 64))
  })

  test('of nothing', () => {
    expect(said('-', { stdio: ['ignore', 'pipe', 'inherit'] })).toBe(
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    )
  })

  test('of a directory', () => {
    expect(said('-', { stdio: [openSync('/', 'r'), 'pipe', 'inherit'] })).toBe(
      'capture: cannot be read: it is a directory',
    )
  })

  const hasScript = hasCommand('script')
  test.skipIf(!hasScript)('a terminal is refused with what to do instead', () => {
    const command = [process.execPath, ...program, '-'].map(part => `'${part}'`).join(' ')
    const { stdout } = spawnSync('script', ['-q', '-e', '-c', command, '/dev/null'], { encoding: 'utf8' })
    expect(stdout.trim()).toBe('capture: cannot be read: it is a terminal; pipe a capture into it')
  })
})

describe('a path', () => {
  test.each([
    {
      why: 'no such file',
      path: '/nowhere/a.pcap',
      code: 'CAPTURE_NOT_FOUND',
      message: 'capture: there is no such file',
    },
    {
      why: 'a directory',
      path: '/',
      code: 'CAPTURE_UNREADABLE',
      message: 'capture: cannot be read: it is a directory',
    },
    { why: 'below a file', path: `${ONE}/x`, code: 'CAPTURE_UNREADABLE', message: 'capture: cannot be read: ENOTDIR' },
  ])('$why', async ({ path, code, message }) => {
    const source = openByteSource(path)
    expect(await source.read(new Uint8Array(1), 0, 1)).toBe(0)
    expect(source.error).toEqual({ code, message, offset: null })
    await source.close()
  })

  test('a symbolic link is what it names', async () => {
    const link = join(newFolder(), 'link')
    symlinkSync(ONE, link)
    expect(Buffer.compare(await readAll(link), readFileSync(ONE))).toBe(0)
    expect([isLiveInput(link), isLiveInput('-'), isLiveInput('/dev/stdin'), isLiveInput('/nowhere')]).toEqual([
      false,
      true,
      true,
      false,
    ])
  })

  test('a small capture of a plain file', async () => {
    const path = join(newFolder(), 'a.pcap')
    const bytes = pcap([{ frame: ethernet(0x0800, ipv4({}, tcp())) }])
    writeFileSync(path, bytes)
    expect(Buffer.compare(await readAll(path), bytes)).toBe(0)
  })
})
