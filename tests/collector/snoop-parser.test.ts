import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { formatIpv4 } from '../../schemas/address.ts'
import { pcap } from '../support/capture-builder.ts'
import { hasCommand, ROOT, requireExternal } from '../support/external.ts'
import { big, concat, ethernet, hex, ipv4, tcp } from '../support/frame-builder.ts'
import { readPackets } from '../support/read-packets.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// Goal: snoop captures give the packets that tshark sees in them, and damaged ones say where they are damaged.

const newFolder = temporaryFolders()
const T = 1_763_800_000
const IP = ipv4({}, tcp())
const FRAME = ethernet(0x0800, IP)

interface SnoopRecord {
  readonly frame?: Uint8Array
  readonly originalLength?: number
  readonly capturedLength?: number
  readonly recordLength?: number
  readonly drops?: number
  readonly microseconds?: number
}

function snoop(records: readonly SnoopRecord[], datalink = 4, version = 2): Uint8Array {
  return concat(hex('736e6f6f70000000'), big(version, 4), big(datalink, 4), ...records.map(record))
}

function record(options: SnoopRecord): Uint8Array {
  const { frame = FRAME, drops = 0, microseconds = 0 } = options
  const padding = (4 - (frame.length % 4)) % 4
  return concat(
    big(options.originalLength ?? frame.length, 4),
    big(options.capturedLength ?? frame.length, 4),
    big(options.recordLength ?? 24 + frame.length + padding, 4),
    big(drops, 4),
    big(T, 4),
    big(microseconds, 4),
    frame,
    new Uint8Array(padding),
  )
}

describe('snoop', () => {
  test('packets, padding, lengths, times and the running total of lost packets', async () => {
    const bytes = snoop([
      { microseconds: 123_456, originalLength: 1500, drops: 2 },
      { frame: concat(FRAME, hex('ee')), drops: 5, microseconds: 1_000_007 },
    ])
    const { packets, result } = await readPackets(bytes, { pieceBytes: [7] })
    expect(result).toEqual({
      format: 'snoop',
      linkTypes: [1],
      packetsRead: 2,
      bytesRead: bytes.length,
      contentBytes: bytes.length,
      interfaceDrops: 5,
      truncated: false,
      error: null,
    })
    expect(packets[0]).toMatchObject({
      index: 1,
      seconds: T,
      nanoseconds: 123_456_000,
      originalLength: 1500,
      dstPort: 23,
    })
    expect(packets[1]).toMatchObject({ index: 2, seconds: T + 1, nanoseconds: 7000, capturedLength: 55, dstPort: 23 })
  })

  test.each([
    { why: 'IEEE 802.3', datalink: 0, linkType: 1, frame: FRAME },
    { why: 'IPv4', datalink: 0x8000_0001, linkType: 228, frame: IP },
  ])('datalink $why', async ({ datalink, linkType, frame }) => {
    const { packets, result } = await readPackets(snoop([{ frame }], datalink))
    expect([result.linkTypes, packets[0]?.dstPort]).toEqual([[linkType], 23])
  })

  test('a file without packets says nothing about lost ones', async () => {
    expect((await readPackets(snoop([]))).result).toMatchObject({ packetsRead: 0, interfaceDrops: null, error: null })
  })

  test.each([
    {
      why: 'a version that is not 2',
      bytes: snoop([], 4, 3),
      error: {
        code: 'CAPTURE_VERSION_UNSUPPORTED',
        message: 'file header: snoop version 3 is not defined, 2 is',
        offset: 8,
      },
      packets: 0,
    },
    {
      why: 'a datalink with a name',
      bytes: snoop([{}], 5),
      error: {
        code: 'LINK_TYPE_UNSUPPORTED',
        message: 'file header: snoop datalink type 5 (HDLC) is not supported; record on an Ethernet interface',
        offset: 12,
      },
      packets: 0,
    },
    {
      why: 'a datalink that nobody defined',
      bytes: snoop([{}], 77),
      error: {
        code: 'LINK_TYPE_UNSUPPORTED',
        message: 'file header: snoop datalink type 77 is not supported; record on an Ethernet interface',
        offset: 12,
      },
      packets: 0,
    },
    {
      why: 'token ring, by its LINKTYPE',
      bytes: snoop([{}], 2),
      error: null,
      packets: 1,
    },
    {
      why: 'a header that is cut',
      bytes: snoop([]).subarray(0, 12),
      error: { code: 'CAPTURE_TRUNCATED', message: 'file header: ends after 12 of 16 bytes', offset: 12 },
      packets: 0,
    },
    {
      why: 'a record that is cut',
      bytes: snoop([{}, {}]).subarray(0, -1),
      error: {
        code: 'CAPTURE_TRUNCATED',
        message: 'record 2 at byte 96: the capture ends 79 bytes into it; all packets before it were read',
        offset: 175,
      },
      packets: 1,
    },
    {
      why: 'a frame above the limit',
      bytes: snoop([{}, { capturedLength: 262_145 }]),
      error: {
        code: 'CAPTURE_RECORD_INVALID',
        message:
          'record 2 at byte 96: captured length 262145 is more than 262144; the capture is damaged from there on',
        offset: 96,
      },
      packets: 1,
    },
    {
      why: 'a record shorter than its frame',
      bytes: snoop([{ recordLength: 77 }]),
      error: {
        code: 'CAPTURE_RECORD_INVALID',
        message:
          'record 1 at byte 16: record length 77 does not fit a captured length of 54; the capture is damaged from there on',
        offset: 16,
      },
      packets: 0,
    },
    {
      why: 'a record of 2³²-1 bytes',
      bytes: snoop([{ recordLength: 0xffff_ffff }]),
      error: {
        code: 'CAPTURE_RECORD_INVALID',
        message:
          'record 1 at byte 16: record length 4294967295 does not fit a captured length of 54; the capture is damaged from there on',
        offset: 16,
      },
      packets: 0,
    },
  ])('$why', async ({ bytes, error, packets }) => {
    const { result } = await readPackets(bytes)
    expect([result.error, result.packetsRead]).toEqual([error, packets])
  })

  const hasTools = hasCommand('editcap') && hasCommand('tshark')
  test.skipIf(!requireExternal('editcap and tshark', hasTools))('packet for packet what tshark reads', async () => {
    const folder = newFolder()
    const made = join(folder, 'made.pcap')
    writeFileSync(
      made,
      pcap([
        { frame: FRAME, fraction: 999_999 },
        { frame: FRAME.slice(0, 36), originalLength: 1514 },
      ]),
    )
    for (const source of [made, `${ROOT}fixtures/captures/nmap-syn.pcap`]) {
      const path = join(folder, 'capture.snoop')
      const written = spawnSync('editcap', ['-F', 'snoop', source, path], { encoding: 'utf8' })
      expect([written.status, written.stderr]).toEqual([0, ''])
      const fields = ['frame.time_epoch', 'frame.cap_len', 'frame.len', 'ip.src', 'ip.dst', 'tcp.dstport']
      const { stdout } = spawnSync(
        'tshark',
        ['-n', '-r', path, '-T', 'fields', '-E', 'separator=,', ...fields.flatMap(field => ['-e', field])],
        { encoding: 'utf8' },
      )
      const theirs = stdout.trimEnd().split('\n')
      expect(theirs.length).toBeGreaterThan(1)
      expect(await snoopRows(path)).toEqual(theirs)
    }
  })
})

/** Each packet as `tshark -T fields` writes it. */
async function snoopRows(path: string): Promise<string[]> {
  const { packets, result } = await readPackets(new Uint8Array(readFileSync(path)))
  expect(result).toMatchObject({ format: 'snoop', error: null })
  return packets.map(packet => {
    const time = `${packet.seconds}.${String(packet.nanoseconds).padStart(9, '0')}`
    const [src, dst] = packet.ipVersion === 4 ? [formatIpv4(packet.src3), formatIpv4(packet.dst3)] : ['', '']
    const port = packet.dstPort < 0 ? '' : packet.dstPort
    return [time, packet.capturedLength, packet.originalLength, src, dst, port].join(',')
  })
}
