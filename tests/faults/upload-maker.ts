import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { Collector } from '../../collector/collector.ts'
import { parseTelescope } from '../../schemas/address.ts'
import type { UploadKind } from '../../schemas/catalog.ts'

/** One upload of a fault test, with what it must come to. */
export interface MadeUpload {
  readonly sensor: string
  readonly kind: UploadKind
  readonly sha256: string
  readonly bytes: Uint8Array
  /** The same for uploads of the same packets: these are to be counted once. */
  readonly content: number
  readonly packets: number
}

export interface FaultSensor {
  readonly sensor: string
  /** First three bytes of its /24. */
  readonly network: readonly [number, number, number]
}

/** A minute for packets and a minute between: no two uploads say that they listened at one time. */
const SECONDS_PER_CONTENT = 120
/** 2025-11-22T00:00:00Z. */
const START_SECONDS = 1_763_769_600
const RECORD_HEADER_BYTES = 16
const IP_TCP_BYTES = 40
const PAYLOAD_BYTES_MAX = 1400
/** Larger captures get larger packets, not more: what is at stake here are bytes and receipts. */
const PACKETS_MAX = 16_000

/**
 * A raw-IP capture of about so many bytes, whose packets nobody else's are.
 * @param content number of its minute
 */
export function makeCapture({ sensor, network }: FaultSensor, content: number, byteCount: number): MadeUpload {
  const smallest = RECORD_HEADER_BYTES + IP_TCP_BYTES
  const packets = Math.max(1, Math.min(PACKETS_MAX, Math.floor(byteCount / smallest / 2)))
  const payload = Math.max(0, Math.min(PAYLOAD_BYTES_MAX, Math.floor(byteCount / packets) - smallest))
  const recordBytes = smallest + payload
  const bytes = Buffer.alloc(24 + packets * recordBytes)
  Buffer.from('d4c3b2a1020004000000000000000000ffff000065000000', 'hex').copy(bytes)
  for (let index = 0; index < packets; index++) {
    const at = 24 + index * recordBytes
    const ip = at + RECORD_HEADER_BYTES
    bytes.writeUInt32LE(START_SECONDS + content * SECONDS_PER_CONTENT + Math.floor((index * 60) / packets), at)
    bytes.writeUInt32LE(IP_TCP_BYTES + payload, at + 8)
    bytes.writeUInt32LE(IP_TCP_BYTES + payload, at + 12)
    bytes.set([0x45, 0, 0, 0, index >>> 8, index & 255, 0, 0, 64, 6, 0, 0, 198, 18, content & 255, index & 255], ip)
    bytes.writeUInt16BE(IP_TCP_BYTES + payload, ip + 2)
    bytes.set([...network, index & 255], ip + 16)
    bytes.writeUInt16BE(1024 + (index % 60_000), ip + 20)
    bytes.writeUInt16BE(23, ip + 22)
    bytes.writeUInt8(0x50, ip + 32)
    bytes.writeUInt8(2, ip + 33)
    // Otherwise each packet would be like the one before, and gzip would make nothing of them.
    if (payload >= 4) bytes.writeUInt32LE((Math.imul(content, 2_654_435_761) ^ Math.imul(index, 40_503)) >>> 0, ip + 40)
  }
  return { sensor, kind: 'capture', sha256: sha256(bytes), bytes, content, packets }
}

/** The same packets as a batch in gzip, as a sensor sends them. */
export async function asBatch(capture: MadeUpload, { sensor, network }: FaultSensor): Promise<MadeUpload> {
  const folder = mkdtempSync(join(tmpdir(), 'hirundo-batch-'))
  try {
    const path = join(folder, 'capture')
    writeFileSync(path, capture.bytes)
    const telescope = parseTelescope(`${network.join('.')}.0/24`)
    const key = new Uint8Array(32).fill(7)
    const collector = new Collector({ sensor, telescope, telescopeEpoch: 1, key, out: folder })
    await collector.read(path)
    await collector.finish()
    const bytes = gzipSync(readFileSync(collector.batches[0]!.path))
    return { ...capture, kind: 'batch', bytes, sha256: sha256(bytes) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The same content under another digest. */
export function compressed(upload: MadeUpload): MadeUpload {
  const bytes = gzipSync(upload.bytes, { level: 1 })
  return { ...upload, bytes, sha256: sha256(bytes) }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
