import { describe, expect, it } from 'vitest'
import { captureFormat } from '../../../collector/capture-format.ts'
import { compressionOf } from '../../../collector/compression.ts'
import { captureKind } from '../../../dashboard/web/capture-kind.ts'

const kindOf = (...bytes: number[]) => captureKind(new Blob([new Uint8Array(bytes)]))

describe('captureKind', () => {
  it.each([
    { bytes: [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0], type: 'application/vnd.tcpdump.pcap', why: 'little-endian pcap' },
    { bytes: [0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4], type: 'application/vnd.tcpdump.pcap', why: 'big-endian pcap' },
    { bytes: [0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0], type: 'application/vnd.tcpdump.pcap', why: 'nanoseconds' },
    { bytes: [0x34, 0xcd, 0xb2, 0xa1, 2, 0, 4, 0], type: 'application/vnd.tcpdump.pcap', why: 'modified pcap' },
    { bytes: [0x0a, 0x0d, 0x0d, 0x0a, 0, 0, 0, 28], type: 'application/x-pcapng', why: 'pcapng' },
    { bytes: [0x1f, 0x8b, 8, 0, 0, 0, 0, 0], type: 'application/gzip', why: 'gzip' },
    { bytes: [0x28, 0xb5, 0x2f, 0xfd, 4, 0, 0, 0], type: 'application/zstd', why: 'zstd' },
    { bytes: [0x53, 0x2a, 0x4d, 0x18, 0, 0, 0, 0], type: 'application/zstd', why: 'zstd with a skippable frame' },
    { bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 4], type: 'application/x-xz', why: 'xz' },
    { bytes: [0x73, 0x6e, 0x6f, 0x6f, 0x70, 0, 0, 0], type: 'application/octet-stream', why: 'snoop' },
  ])('$why is a capture, as the collector says too', async ({ bytes, type }) => {
    expect(await kindOf(...bytes)).toEqual({ contentType: type })
    const read = new Uint8Array(bytes)
    expect(captureFormat(read, read.length) ?? compressionOf(read, read.length)).not.toBeNull()
  })

  it.each([
    { bytes: [], why: 'nothing' },
    { bytes: [0xd4, 0xc3], why: 'half a mark' },
    { bytes: [0x50, 0x4b, 3, 4, 0, 0, 0, 0], why: 'a zip archive' },
    { bytes: [0x25, 0x50, 0x44, 0x46, 0x2d, 0, 0, 0], why: 'a document' },
  ])('$why is none', async ({ bytes }) => {
    expect(await kindOf(...bytes)).toBeNull()
  })
})
