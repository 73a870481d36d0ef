import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createFile } from '../../collector/durable-file.ts'
import { readIdentity } from '../../collector/identity.ts'
import { parseKey, readOrCreateKey } from '../../collector/key-file.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hirundo-key-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function secret(name: string, text: string, mode = 0o600): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

describe('key file', () => {
  it('is made once, for its owner only, and read from then on', () => {
    const path = join(folder, 'new.key')
    const made = readOrCreateKey(path)
    expect(made.created).toBe(true)
    expect(made.key.length).toBe(32)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readOrCreateKey(path)).toEqual({ key: made.key, created: false })
    expect(readOrCreateKey(join(folder, 'other.key')).key).not.toEqual(made.key)
  })

  it('holds 64 hexadecimal digits', () => {
    expect(parseKey(` ${'aB'.repeat(32)}\n`, 'key')).toEqual(new Uint8Array(32).fill(0xab))
    for (const text of ['', 'ab'.repeat(31), 'ab'.repeat(33), 'xy'.repeat(32)]) {
      expect(() => parseKey(text, 'key')).toThrow(expect.objectContaining({ code: 'KEY_INVALID' }))
    }
  })

  it('is refused when others can read it, or when it is no key; the text is not shown', () => {
    expect(() => readOrCreateKey(secret('shared.key', 'ab'.repeat(32), 0o640))).toThrow(
      expect.objectContaining({ code: 'KEY_INVALID', message: expect.stringContaining('chmod 600') }),
    )
    expect(() => readOrCreateKey(secret('bad.key', 'hunter2'))).toThrow(
      expect.objectContaining({ code: 'KEY_INVALID', message: expect.not.stringContaining('hunter2') }),
    )
  })

  it('is read from a file only, so that a pipe holds nobody up', () => {
    const path = join(folder, 'pipe.key')
    execFileSync('mkfifo', ['-m', '600', path])
    expect(() => readOrCreateKey(path)).toThrow(
      expect.objectContaining({ code: 'KEY_INVALID', message: expect.stringContaining('no file') }),
    )
  })

  it('is made whole or not at all: another that was made meanwhile stays, and nothing lies beside it', () => {
    const place = mkdtempSync(join(folder, 'whole-'))
    const path = join(place, 'a.key')
    expect(createFile(path, 'first')).toBe(true)
    expect(createFile(path, 'second')).toBe(false)
    expect([readFileSync(path, 'utf8'), readdirSync(place)]).toEqual(['first', ['a.key']])
  })

  it('needs a folder that can be written', () => {
    expect(() => readOrCreateKey(join(folder, 'none', 'a.key'))).toThrow(
      expect.objectContaining({ code: 'OUTPUT_UNWRITABLE' }),
    )
  })
})

describe('identity file', () => {
  it('names sensor and token', () => {
    const path = secret('identity.json', '{"sensor": "jp-1", "token": "0123456789abcdef", "role": "sensor"}')
    expect(readIdentity(path)).toEqual({ sensor: 'jp-1', token: '0123456789abcdef' })
  })

  it.each([
    ['no JSON', 'token=0123456789abcdef'],
    ['no object', 'null'],
    ['no sensor', '{"token": "0123456789abcdef"}'],
    ['a sensor that is no name', '{"sensor": "../x", "token": "0123456789abcdef"}'],
    ['no token', '{"sensor": "jp-1"}'],
    ['a token that would end the header', '{"sensor": "jp-1", "token": "0123456789\\r\\nabcdef"}'],
  ])('is refused with %s, without showing it', (_why, text) => {
    expect(() => readIdentity(secret('refused.json', text))).toThrow(
      expect.objectContaining({ code: 'IDENTITY_INVALID', message: expect.not.stringContaining('0123456789') }),
    )
  })

  it('is refused when it is missing or others can read it', () => {
    expect(() => readIdentity(join(folder, 'missing.json'))).toThrow(
      expect.objectContaining({ code: 'IDENTITY_INVALID' }),
    )
    const shared = secret('shared.json', '{"sensor": "jp-1", "token": "0123456789abcdef"}', 0o644)
    expect(() => readIdentity(shared)).toThrow(expect.objectContaining({ code: 'KEY_INVALID' }))
  })
})
