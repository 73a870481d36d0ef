import type { BatchMetadata, CaptureSummary } from '../schemas/batch.ts'
import { type CaptureFile, captureFile, fileKey, isUnchanged } from './capture-files.ts'
import { identifyCapture } from './capture-identity.ts'
import type { CaptureError } from './capture-result.ts'
import type { Collector } from './collector.ts'
import { shrunken } from './growing-file.ts'
import { LiveCapture } from './live-capture.ts'
import type { LiveState } from './live-state.ts'
import { visibleText } from './visible-text.ts'

/** A compressed file is read when it was left alone for so long: its last bytes tell whether it is whole. */
const STABLE_MILLISECONDS = 2000
/** A file that ends with a whole record, while there is a newer one, is closed when it was left alone for so long. */
const COMPLETE_MILLISECONDS = 2000
/** One that ends within a record is given this long to be written on; then its end is an error. */
const INCOMPLETE_MILLISECONDS = 5000
/** Files that are kept open, a buffer each; beyond it complete ones are closed at once. */
const OPEN_FILES_MAX = 16
/** Summaries kept for the end of a run that may last for months; those with errors stay longest. */
const SUMMARIES_MAX = 10_000

interface TrackedFile {
  /** As it was when it was looked at last. */
  file: CaptureFile
  /** By the clock of performance.now(). */
  changedAt: number
  /** Null for what is no capture, or has no packet yet. */
  capture: LiveCapture | null
  isCompressed: boolean
  /** As it was when all of it was read; null before. */
  readTo: CaptureFile | null
  /** What reading a compressed file came to, told when it is certain that the file stays as it is. */
  verdict: CaptureSummary | null
  isListed: boolean
}

interface LiveReaderOptions {
  readonly collector: Collector
  readonly state: LiveState
  /** The files that there are now. */
  readonly list: () => readonly CaptureFile[]
  /**
   * True to follow one file by its name: it is never taken for finished, whatever its times, and an error in it is the
   * end. False for a folder, where others go on.
   */
  readonly isSingle: boolean
  readonly batchSeconds: number
  readonly signal: AbortSignal
  readonly note: (line: string) => void
  /** Told after each piece: bytes and packets of the run. */
  readonly onProgress: (bytes: number, packets: number) => void
}

/**
 * Reads files that grow, come and go. Which of them are finished does not matter for what is counted: every file is
 * read as far as it goes, in the order of first packets, and again when it has grown. A packet is told by its capture
 * and its place in it, and a capture by its first bytes, so that another name, inode or compression changes nothing.
 */
export class LiveReader {
  readonly summaries: CaptureSummary[] = []
  packets = 0
  bytesRead = 0
  /** True when the single file cannot be read any further. */
  hasFailed = false
  readonly #options: LiveReaderOptions
  /** By fileKey. */
  readonly #files = new Map<string, TrackedFile>()
  /** By identity. */
  readonly #captures = new Map<string, LiveCapture>()
  /** What the state knew at the start, by fileKey. */
  readonly #savedKeys: ReadonlyMap<string, string>
  #reading: LiveCapture | null = null
  /** The file that has the name, when a single one is followed. */
  #singleKey = ''
  #hasToldOff = false
  /** When packets came last, by the clock of performance.now(). */
  #cameAt = performance.now()

  constructor(options: LiveReaderOptions) {
    this.#options = options
    this.#savedKeys = new Map([...options.state.captures.values()].map(saved => [fileKey(saved), saved.identity]))
    options.state.onCommit = batch => {
      this.#reading?.settle()
      this.#tellOffTelescope(batch.metadata)
      options.state.forgetGone(new Set(this.#captures.keys()))
    }
  }

  /**
   * Looks at the files and counts what has come.
   * @returns true when bytes came
   * @throws OUTPUT_UNWRITABLE, DISK_FULL, DATA_IN_USE; CAPTURE_NOT_FOUND, CAPTURE_UNREADABLE from `list`
   */
  async readNew(): Promise<boolean> {
    const { signal, list } = this.#options
    const files = list()
    for (const tracked of this.#files.values()) tracked.isListed = false
    for (const file of files) {
      if (signal.aborted) return false
      await this.#meet(file)
    }
    let hasCome = false
    for (const tracked of this.#toRead()) {
      if (signal.aborted || this.hasFailed) break
      if (await this.#read(tracked)) hasCome = true
    }
    this.#forgetGone()
    return hasCome
  }

  /**
   * Ends the batch at hand when no packet came for the time of a batch, counted from the end of its window; at the
   * latest after twice that time, should the clocks differ.
   */
  endIdleBatch(): void {
    const { collector, batchSeconds } = this.#options
    if (collector.packetsOfBatch === 0) return
    const limit = batchSeconds * 1000
    const idle = performance.now() - this.#cameAt
    const sinceWindow = Date.now() - collector.windowEnd * 1000
    if (idle >= 2 * limit || (idle >= limit && sinceWindow >= limit)) collector.endBatch()
  }

  /** Closes all files; that one ends within a record is no error, because the rest is read another time. */
  async finish(): Promise<void> {
    for (const tracked of this.#files.values()) this.#tell(tracked, false)
    const open = [...this.#captures.values()].filter(({ openKey }) => openKey !== null)
    for (const capture of open.sort(byFirstPacket)) await this.#close(capture, false)
  }

  /** Notes what a file is, when it is new or has changed. */
  async #meet(file: CaptureFile): Promise<void> {
    const key = fileKey(file)
    const known = this.#files.get(key)
    if (known) {
      known.isListed = true
      const hasChanged = !isUnchanged(known.file, file)
      known.file = file
      if (!hasChanged) return
      known.changedAt = performance.now()
      this.#tell(known, false)
      if (known.capture?.openKey === key) return
    } else {
      this.#tellReplaced(file)
      if (this.#meetSaved(file)) return
    }
    const head = await identifyCapture(file.path)
    // Another file may have got the name meanwhile; then this one is met again, or never.
    const now = captureFile(file.path)
    if (now === null || fileKey(now) !== key) return
    const tracked = known ?? this.#track(file, null)
    tracked.isCompressed = head.format?.includes(' (') ?? false
    const before = tracked.capture
    tracked.capture = head.identity === null ? null : this.#captureFor(head.identity, head.firstSeconds, file)
    const error = this.#rewritten(tracked, before) ?? this.#unreadable(file, head)
    if (error === null) return
    ;(before ?? tracked.capture)?.forgetFile()
    this.#fail(file.path, head.format, error)
  }

  #tellReplaced(file: CaptureFile): void {
    const key = fileKey(file)
    if (this.#options.isSingle && this.#singleKey !== '' && this.#singleKey !== key) {
      this.#options.note(
        `${visibleText(file.path)}: another file has this name now; it is read from its beginning, after the last of the old one`,
      )
    }
    this.#singleKey = key
  }

  /** A file that is as it was when an earlier run had read all of it need not be opened. */
  #meetSaved(file: CaptureFile): boolean {
    const saved = this.#options.state.captures.get(this.#savedKeys.get(fileKey(file)) ?? '')
    if (!saved || !isUnchanged(saved, file)) return false
    this.#track(file, this.#captureFor(saved.identity, saved.firstSeconds, file)).readTo = file
    return true
  }

  #track(file: CaptureFile, capture: LiveCapture | null): TrackedFile {
    const changedAt = performance.now() - millisecondsSince(file)
    const tracked = { file, changedAt, capture, isCompressed: false, readTo: null, verdict: null, isListed: true }
    this.#files.set(fileKey(file), tracked)
    return tracked
  }

  #captureFor(identity: string, firstSeconds: number, file: CaptureFile): LiveCapture {
    const { collector, state } = this.#options
    const known = this.#captures.get(identity)
    if (known) return known
    const start = { ...file, bytes: 0, modified: '0', identity, firstSeconds, packets: 0 }
    const capture = new LiveCapture(collector, state, state.captures.get(identity) ?? start)
    this.#captures.set(identity, capture)
    return capture
  }

  /** A file that was read before, now or in an earlier run, and is less than it was. */
  #rewritten({ file, capture, isCompressed }: TrackedFile, before: LiveCapture | null): CaptureError | null {
    const last = (before ?? capture)?.progress
    if (isCompressed || last === undefined || fileKey(last) !== fileKey(file) || last.bytes === 0) return null
    if (file.bytes < last.bytes) return shrunken(file.bytes, last.bytes)
    if (before === null || before === capture) return null
    const message = 'capture: it begins with another packet than before; what was read before is kept'
    return { code: 'CAPTURE_REWRITTEN', message, offset: 0 }
  }

  /** In a folder there may be anything; but a capture that may not be read is a mistake, and so is a single file. */
  #unreadable(file: CaptureFile, head: { format: string | null; error: CaptureError | null }): CaptureError | null {
    if (head.error?.code === 'CAPTURE_UNREADABLE') return head.error
    const isTold = this.#options.isSingle && head.format === null && file.bytes > 0
    return isTold && head.error?.code !== 'CAPTURE_NOT_FOUND' ? head.error : null
  }

  /** Files that may hold packets which were not counted, in the order of their first packets. */
  #toRead(): TrackedFile[] {
    const now = performance.now()
    return [...this.#files]
      .filter(([key, { file, capture, isCompressed, readTo, changedAt, isListed }]) => {
        if (capture === null || capture.isBroken) return false
        if (capture.openKey !== null) return capture.openKey === key
        if (!isListed || (readTo !== null && isUnchanged(readTo, file))) return false
        return !isCompressed || now - changedAt >= STABLE_MILLISECONDS
      })
      .map(([, tracked]) => tracked)
      .sort((a, b) => byFirstPacket(a.capture!, b.capture!))
  }

  async #read(tracked: TrackedFile): Promise<boolean> {
    const { signal, collector, onProgress } = this.#options
    const { file } = tracked
    const capture = tracked.capture!
    if (capture.openKey === null) {
      const onChunk = (): void =>
        onProgress(this.bytesRead + capture.bytesOfPiece, this.packets + collector.packetsOfCapture)
      if (!capture.open(file, { signal, onChunk })) return false
    } else if (capture.openKey !== fileKey(file)) {
      // Another file of the same capture is being read.
      return false
    } else {
      const error = capture.rewritten()
      if (error !== null) {
        await this.#abandon(tracked, error)
        return false
      }
    }
    this.#reading = capture
    const hasCome = await capture.readOn()
    this.#reading = null
    this.bytesRead += capture.bytesOfPiece
    this.packets += collector.packetsOfCapture
    if (collector.packetsOfCapture > 0) this.#cameAt = performance.now()
    if (!signal.aborted) {
      tracked.readTo = file
      capture.markRead(file)
      await this.#closeIfDone(tracked)
    }
    return hasCome
  }

  /** The file that is open is no longer what was read: what it holds now is another capture. */
  async #abandon(tracked: TrackedFile, error: CaptureError): Promise<void> {
    const capture = tracked.capture!
    const { path, format } = (await this.#close(capture, false)) ?? { path: tracked.file.path, format: null }
    capture.forgetFile()
    this.#files.delete(fileKey(tracked.file))
    this.#fail(path, format, error)
  }

  async #closeIfDone(tracked: TrackedFile): Promise<void> {
    const capture = tracked.capture!
    if (capture.isStuck && !tracked.isCompressed) {
      capture.isBroken = true
      const summary = await this.#close(capture, true)
      if (this.#options.isSingle && summary?.error) this.hasFailed = true
      return
    }
    if (tracked.isCompressed) {
      tracked.verdict = await capture.close(true)
      return
    }
    const quiet = performance.now() - capture.cameAt
    if (!tracked.isListed) {
      const isElsewhere = [...this.#files.values()].some(other => other.isListed && other.capture === capture)
      // It may be written on under another name for a moment, as by whoever rotates by renaming.
      if (isElsewhere || quiet >= INCOMPLETE_MILLISECONDS) await this.#close(capture, !isElsewhere)
      return
    }
    if (this.#options.isSingle || capture === this.#newest()) return
    const untouched = Math.max(quiet, millisecondsSince(tracked.file))
    const openFiles = [...this.#captures.values()].filter(({ openKey }) => openKey !== null).length
    const isDone = capture.isAtRecordEnd
      ? untouched >= COMPLETE_MILLISECONDS || openFiles > OPEN_FILES_MAX
      : untouched >= INCOMPLETE_MILLISECONDS
    if (isDone) await this.#close(capture, true)
  }

  #newest(): LiveCapture | null {
    let newest: LiveCapture | null = null
    for (const capture of this.#captures.values()) {
      if (newest === null || byFirstPacket(newest, capture) < 0) newest = capture
    }
    return newest
  }

  async #close(capture: LiveCapture, isEnded: boolean): Promise<CaptureSummary | null> {
    const summary = await capture.close(isEnded)
    if (summary !== null) this.#report(summary)
    return summary
  }

  /** Forgets files that are gone and closed, and tells what compressed ones came to when they stay as they are. */
  #forgetGone(): void {
    const now = performance.now()
    for (const [key, tracked] of this.#files) {
      const { capture, isListed, changedAt } = tracked
      if (!isListed || now - changedAt >= INCOMPLETE_MILLISECONDS) this.#tell(tracked, true)
      if (!isListed && capture?.openKey !== key) this.#files.delete(key)
    }
    const held = new Set([...this.#files.values()].map(({ capture }) => capture))
    for (const [identity, capture] of this.#captures) if (!held.has(capture)) this.#captures.delete(identity)
  }

  /** Tells what a compressed file came to; an incomplete one that may still be written is no error. */
  #tell(tracked: TrackedFile, isEnded: boolean): void {
    const { verdict } = tracked
    tracked.verdict = null
    if (verdict === null) return
    if (isEnded) this.#report(verdict)
    else if (verdict.packets_read > 0) this.#report({ ...verdict, truncated: false, error: null })
  }

  /** A wrong telescope must not stay unnoticed until the run ends; one quiet batch is no error, though. */
  #tellOffTelescope({ packets_read, packets_kept, drops }: BatchMetadata): void {
    const isOff = packets_kept === 0 && this.#options.state.packetsKept === 0 && (drops.not_for_telescope ?? 0) > 0
    if (isOff && !this.#hasToldOff) {
      this.#options.note(
        `batch: none of its ${packets_read} packets is for an address of this telescope; check the telescope's prefixes if this goes on`,
      )
    }
    this.#hasToldOff ||= isOff
  }

  #fail(path: string, format: string | null, error: CaptureError): void {
    if (this.#options.isSingle) this.hasFailed = true
    const counts = { packets_read: 0, packets_kept: 0, drops: {}, first_packet: null, last_packet: null }
    this.#report({ path, format, ...counts, truncated: false, error })
  }

  #report(summary: CaptureSummary): void {
    const { error } = summary
    // A run without end says at once what its summary would say months later.
    if (error !== null) this.#options.note(`${visibleText(summary.path)}: ${error.message} [${error.code}]`)
    this.summaries.push(summary)
    if (this.summaries.length <= SUMMARIES_MAX) return
    const place = this.summaries.findIndex(earlier => earlier.error === null)
    this.summaries.splice(Math.max(place, 0), 1)
  }
}

/** Names decide between equals. */
function byFirstPacket({ progress: a }: LiveCapture, { progress: b }: LiveCapture): number {
  return a.firstSeconds - b.firstSeconds || (a.path < b.path ? -1 : a.path > b.path ? 1 : 0)
}

/** Since the last change of a file, by this machine's clock; 0 when it lies in the future. */
function millisecondsSince({ modified }: CaptureFile): number {
  return Math.max(0, Date.now() - Number(BigInt(modified) / 1_000_000n))
}
