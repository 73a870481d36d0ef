import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncFolder } from './data-folder.ts'

/** The file starts anew when it is larger. */
const FILE_BYTES_MAX = 64 * 1024
const LINE = /^(\d+) (\S+\/[0-9a-f]{64})$/

/**
 * Which uploads are being parsed, on disk before it begins: after a start it tells which ones the hub ended with, and how
 * often. An upload that was parsed is forgotten, and so is a try that an orderly stop called off. A journal, one line a
 * change with the new number of tries; the last line of an upload counts, and a torn one does not.
 */
export class ParseTries {
  readonly #path: string
  /** Tries of uploads that were not parsed to the end, by `sensor/sha256`. */
  readonly #tries = new Map<string, number>()
  readonly #running = new Set<string>()
  #bytes = 0
  #isNew = false

  constructor(path: string) {
    this.#path = path
    const text = readWhenThere(path)
    this.#isNew = text === null
    // Behind the last line break is what a crash cut off.
    for (const line of (text ?? '').split('\n').slice(0, -1)) {
      const [, tries, upload] = LINE.exec(line) ?? []
      if (upload !== undefined) this.#remember(upload, Number(tries))
    }
    if (text !== null && text !== '') this.#restart()
  }

  /** Tries so far that the hub did not survive, or that are under way. */
  of(upload: string): number {
    return this.#tries.get(upload) ?? 0
  }

  /** One more try begins; on disk when it resolves. @throws what the disk says */
  async begin(upload: string): Promise<void> {
    this.#running.add(upload)
    this.#remember(upload, this.of(upload) + 1)
    const file = await open(this.#path, 'a', 0o600)
    try {
      await file.write(this.#line(upload))
      await file.datasync()
    } finally {
      await file.close()
    }
    if (!this.#isNew) return
    await syncFolder(dirname(this.#path))
    this.#isNew = false
  }

  /**
   * The hub has survived. Not synced: a crash of the machine may count one try too many.
   * @param tries what is left of the number; 0 forgets the upload
   */
  end(upload: string, tries = 0): void {
    this.#running.delete(upload)
    if (this.of(upload) === tries) return
    this.#remember(upload, tries)
    appendFileSync(this.#path, this.#line(upload), { mode: 0o600 })
    if (this.#running.size === 0 && this.#bytes > FILE_BYTES_MAX) this.#restart()
  }

  /** Leaves the lines that count. */
  #restart(): void {
    this.#bytes = 0
    writeFileSync(this.#path, [...this.#tries.keys()].map(upload => this.#line(upload)).join(''), { mode: 0o600 })
  }

  #line(upload: string): string {
    const line = `${this.of(upload)} ${upload}\n`
    this.#bytes += line.length
    return line
  }

  #remember(upload: string, tries: number): void {
    if (tries === 0) this.#tries.delete(upload)
    else this.#tries.set(upload, tries)
  }
}

function readWhenThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
