import { appendFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { pcap, pcapRecord } from './capture-builder.ts'
import { ethernet, hex, ipv4, tcp } from './frame-builder.ts'

const EMPTY = new Uint8Array(0)

/**
 * Writes captures into a folder as a rotating tcpdump does, but in pieces that end anywhere, and moves finished files
 * about: renamed, or compressed in pieces and then removed. What it wrote is kept whole in another folder.
 */
export class RotatingWriter {
  packets = 0
  readonly #folder: string
  readonly #archive: string
  readonly #random: () => number
  #seconds = 1_763_800_000
  #fileCount = 0
  #path = ''
  /** Written to the present file, and still to be written. */
  #written: Uint8Array[] = []
  #pending: Uint8Array = EMPTY
  #packetsLeft = 0
  /** Compressed bytes of an earlier file that are not written yet. */
  #packing: { from: string; to: string; bytes: Uint8Array } | null = null

  constructor(folder: string, archive: string, random: () => number) {
    this.#folder = folder
    this.#archive = archive
    this.#random = random
  }

  /** One small thing: some bytes, a rotation, or a piece of a compressed file. */
  step(): void {
    if (this.#packing !== null && this.#random() < 0.3) this.#pack()
    else if (this.#pending.length > 0) this.#append(1 + Math.floor(this.#random() * 150))
    else if (this.#packetsLeft > 0) this.#nextPackets()
    else this.#rotate()
  }

  /** Completes what was begun. */
  finish(): void {
    while (this.#pending.length > 0) this.#append(1000)
    while (this.#packing !== null) this.#pack()
    this.#keep()
  }

  #append(count: number): void {
    const piece = this.#pending.subarray(0, count)
    appendFileSync(this.#path, piece)
    this.#written.push(piece)
    this.#pending = this.#pending.subarray(piece.length)
  }

  #nextPackets(): void {
    const records = Array.from({ length: 1 + Math.floor(this.#random() * 4) }, () => this.#record())
    this.#pending = Buffer.concat(records)
    this.packets += records.length
    this.#packetsLeft -= Math.min(records.length, this.#packetsLeft)
  }

  #record(): Uint8Array {
    this.#seconds += Math.floor(this.#random() * 5)
    const kind = this.#random()
    const dst = kind < 0.15 ? '192.0.2.7' : `203.0.113.${Math.floor(this.#random() * 256)}`
    const src = `198.18.0.${Math.floor(this.#random() * 20)}`
    const frame = kind < 0.05 ? ethernet(0x0806, hex('0001')) : ethernet(0x0800, ipv4({ src, dst }, tcp()))
    return pcapRecord({ frame, seconds: this.#seconds, fraction: this.packets % 1_000_000 })
  }

  #rotate(): void {
    if (this.#path !== '') {
      const before = this.#path
      this.#keep()
      const fate = this.#random()
      if (fate < 0.25) renameSync(before, join(this.#folder, `moved-${this.#fileCount}.pcap`))
      else if (fate < 0.6 && this.#packing === null) {
        this.#packing = { from: before, to: `${before}.gz`, bytes: gzipSync(Buffer.concat(this.#written)) }
      }
    }
    this.#path = join(this.#folder, `out-${++this.#fileCount}.pcap`)
    this.#written = []
    this.#pending = pcap([])
    this.#packetsLeft = 20 + Math.floor(this.#random() * 80)
  }

  #keep(): void {
    writeFileSync(join(this.#archive, `${this.#fileCount}.pcap`), Buffer.concat(this.#written))
  }

  #pack(): void {
    const { from, to, bytes } = this.#packing!
    const piece = bytes.subarray(0, 300)
    appendFileSync(to, piece)
    this.#packing = piece.length === bytes.length ? null : { from, to, bytes: bytes.subarray(piece.length) }
    if (this.#packing === null) rmSync(from)
  }
}
