import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { listCaptures } from '../../collector/list-captures.ts'
import { Packet } from '../../collector/packet.ts'
import { readCapture } from '../../collector/read-capture.ts'
import type { ErrorCode } from '../../schemas/errors.ts'
import {
  block,
  enhancedPacket,
  interfaceDescription,
  number,
  pcap,
  pcapRecord,
  sectionHeader,
} from '../support/capture-builder.ts'
import { hasCommand, ROOT, requireExternal } from '../support/external.ts'
import { concat, ethernet, hex, ipv4, tcp } from '../support/frame-builder.ts'
import { hirundo } from '../support/hirundo.ts'
import { readPackets } from '../support/read-packets.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// Goal: whatever is wrong with an input, the answer is the same every time: what came before the damage is read, and a
// message, held here word by word, says what is wrong, where, and what to do.

const newFolder = temporaryFolders()
const FRAME = ethernet(0x0800, ipv4({}, tcp()))
/** Two records of 70 bytes behind a header of 24: 164 bytes. */
const GOOD = pcap([{ frame: FRAME }, { frame: FRAME }])
const RECORDS = GOOD.subarray(24)
/** Section, interface and a packet: 28 + 24 + 88 bytes. */
const GOOD_NG = concat(sectionHeader(), interfaceDescription(), enhancedPacket({ frame: FRAME }))

interface BadInput {
  readonly why: string
  readonly bytes: Uint8Array
  /** Packets that are read all the same. */
  readonly packets: number
  readonly code: ErrorCode
  readonly message: string
  readonly offset: number | null
}

async function expectError({ bytes, packets, code, message, offset }: BadInput): Promise<void> {
  for (const pieceBytes of [[bytes.length], [13]]) {
    const { packets: seen, result } = await readPackets(bytes, { pieceBytes })
    expect(result.error).toEqual({ code, message, offset })
    expect([seen.length, result.packetsRead]).toEqual([packets, packets])
  }
}

/** A file header with another snap length. */
function withSnapLength(snapLength: number): Uint8Array {
  const bytes = GOOD.slice()
  bytes.set(number(snapLength, 4, 'little'), 16)
  return bytes
}

describe('what the file says it is', () => {
  test.each<BadInput>([
    {
      why: 'nothing',
      bytes: hex(''),
      packets: 0,
      code: 'CAPTURE_EMPTY',
      message: 'capture: it has no bytes at all',
      offset: 0,
    },
    {
      why: 'a magic of no format',
      bytes: concat(hex('a1b2c3d5'), GOOD.subarray(4)),
      packets: 0,
      code: 'CAPTURE_FORMAT_UNKNOWN',
      message:
        'capture: first bytes a1 b2 c3 d5 02 00 04 00 are neither pcap, pcapng nor snoop: record with `tcpdump -w FILE`',
      offset: 0,
    },
    {
      why: 'text',
      bytes: new TextEncoder().encode('12:00:00.0 IP 192.0.2.1 > 198.51.100.7\n'),
      packets: 0,
      code: 'CAPTURE_FORMAT_UNKNOWN',
      message: 'capture: first bytes 31 32 3a 30 30 3a 30 30 are neither pcap, pcapng nor snoop: it looks like text',
      offset: 0,
    },
    {
      why: 'a zip archive',
      bytes: hex('504b0304 14000000 0800'),
      packets: 0,
      code: 'CAPTURE_FORMAT_UNKNOWN',
      message:
        'capture: first bytes 50 4b 03 04 14 00 00 00 are neither pcap, pcapng nor snoop: it is a zip archive; unpack it',
      offset: 0,
    },
    {
      why: 'a compression within a compression',
      bytes: gzipSync(hex('fd377a585a00 0004')),
      packets: 0,
      code: 'CAPTURE_FORMAT_UNKNOWN',
      message:
        'capture: first bytes fd 37 7a 58 5a 00 00 04 are neither pcap, pcapng nor snoop: it is xz within a compression; decompress it once',
      offset: 0,
    },
    {
      why: 'pcap 1.4',
      bytes: pcap([{ frame: FRAME }], { versionMajor: 1 }),
      packets: 0,
      code: 'CAPTURE_VERSION_UNSUPPORTED',
      message: 'file header: pcap version 1.4 is not defined, 2.4 is',
      offset: 4,
    },
    {
      why: 'pcapng 2.0',
      bytes: sectionHeader('big', 2),
      packets: 0,
      code: 'CAPTURE_VERSION_UNSUPPORTED',
      message: 'block at byte 0: pcapng version 2.0 is not defined, 1.0 is; reading ends there',
      offset: 0,
    },
    {
      why: 'a pcapng of neither byte order',
      bytes: concat(hex('0a0d0d0a 1c000000 11223344'), new Uint8Array(16)),
      packets: 0,
      code: 'CAPTURE_HEADER_INVALID',
      message: 'block at byte 0: byte-order magic 0x44332211 is not 0x1a2b3c4d in either order; reading ends there',
      offset: 0,
    },
    {
      why: 'reserved bits of the link type',
      bytes: pcap([], { linkType: 0x0030_0000 }),
      packets: 0,
      code: 'CAPTURE_HEADER_INVALID',
      message: 'file header: link type field 0x300000 has reserved bits set',
      offset: 20,
    },
    {
      why: 'a file header that is cut',
      bytes: GOOD.subarray(0, 23),
      packets: 0,
      code: 'CAPTURE_TRUNCATED',
      message: 'file header: ends after 23 of 24 bytes',
      offset: 23,
    },
    {
      why: 'a link type that is not read',
      bytes: pcap([{ frame: FRAME }], { linkType: 147 }),
      packets: 1,
      code: 'LINK_TYPE_UNSUPPORTED',
      message:
        'link type 147 (private use) is not supported, so none of the 1 packets could be read; record on an Ethernet, Wi-Fi, raw IP, loopback, PPP or "any" interface',
      offset: null,
    },
  ])('$why', expectError)

  // The field is what the recorder was told, not a length that anything is read by; zero and 2³¹-1 come from real
  // recorders, and libpcap and Wireshark read such files. What bounds memory is the length of each record.
  test.each([0, 1, 262_145, 0x7fff_ffff, 0xffff_ffff])('a snap length of %d alone is no error', async snapLength => {
    expect((await readPackets(withSnapLength(snapLength))).result).toMatchObject({ packetsRead: 2, error: null })
    const bytes = concat(sectionHeader(), interfaceDescription({ snapLength }), enhancedPacket({ frame: FRAME }))
    expect((await readPackets(bytes)).result).toMatchObject({ packetsRead: 1, error: null })
  })
})

describe('records of a pcap', () => {
  test.each<BadInput>([
    {
      why: 'a header that is cut',
      bytes: concat(GOOD, RECORDS.subarray(0, 10)),
      packets: 2,
      code: 'CAPTURE_TRUNCATED',
      message: 'record 3 at byte 164: the capture ends 10 bytes into it; all packets before it were read',
      offset: 174,
    },
    {
      why: 'a last packet that is cut',
      bytes: GOOD.subarray(0, -1),
      packets: 1,
      code: 'CAPTURE_TRUNCATED',
      message: 'record 2 at byte 94: the capture ends 69 bytes into it; all packets before it were read',
      offset: 163,
    },
    {
      why: 'a length beyond what is left, and nothing is allocated for it',
      bytes: concat(GOOD, pcapRecord({ frame: FRAME, capturedLength: 262_144 })),
      packets: 2,
      code: 'CAPTURE_TRUNCATED',
      message: 'record 3 at byte 164: the capture ends 70 bytes into it; all packets before it were read',
      offset: 234,
    },
    {
      why: 'a length above the largest',
      bytes: concat(GOOD, pcapRecord({ frame: FRAME, capturedLength: 262_145 }), RECORDS),
      packets: 2,
      code: 'CAPTURE_RECORD_INVALID',
      message: 'record 3 at byte 164: captured length 262145 is more than 262144; the capture is damaged from there on',
      offset: 164,
    },
    {
      // To go on at what looks like the next record could take bytes of garbage for packets that nobody sent.
      why: 'garbage between records ends the reading there',
      bytes: concat(GOOD, new Uint8Array(100).fill(0xee), RECORDS),
      packets: 2,
      code: 'CAPTURE_RECORD_INVALID',
      message:
        'record 3 at byte 164: captured length 4008636142 is more than 262144; the capture is damaged from there on',
      offset: 164,
    },
    {
      why: 'a hole of zero bytes',
      bytes: concat(GOOD, new Uint8Array(4096), RECORDS),
      packets: 2,
      code: 'CAPTURE_RECORD_INVALID',
      message:
        'record 3 at byte 164: nothing but zero bytes, as a crash or a full disk leaves them; the capture is damaged from there on',
      offset: 164,
    },
    ...(['little', 'big'] as const).map(endian => ({
      why: `a second capture behind the first, ${endian}-endian`,
      bytes: concat(GOOD, pcap([{ frame: FRAME }], { endian })),
      packets: 2,
      code: 'CAPTURE_CONCATENATED' as const,
      message:
        'record 3 at byte 164: a second pcap file header stands there, so captures were put one behind the other; give them one by one, or join them with `mergecap -a`',
      offset: 164,
    })),
  ])('$why', expectError)

  test('a packet of no bytes at a time is none of these', async () => {
    const { result } = await readPackets(pcap([{ frame: hex(''), seconds: 1 }, { frame: FRAME }]))
    expect(result).toMatchObject({ packetsRead: 2, error: null })
  })
})

describe('blocks of a pcapng', () => {
  test.each<BadInput>([
    {
      why: 'a length of 11',
      bytes: concat(GOOD_NG, hex('06000000 0b000000 0b000000')),
      packets: 1,
      code: 'CAPTURE_RECORD_INVALID',
      message: 'block at byte 140: block length 11 is not 12 to 16777216; reading ends there',
      offset: 140,
    },
    {
      why: 'a section header of 24 bytes',
      bytes: hex('0a0d0d0a 18000000 4d3c2b1a 01000000 00000000 18000000'),
      packets: 0,
      code: 'CAPTURE_RECORD_INVALID',
      message: 'block at byte 0: block length 24 is not 28 to 16777216; reading ends there',
      offset: 0,
    },
    {
      why: 'a length that is no multiple of four and does not stand where it should',
      bytes: concat(GOOD_NG, hex('ad0b0000 0e000000 01020000 0000'), new Uint8Array(2)),
      packets: 1,
      code: 'CAPTURE_RECORD_INVALID',
      message: 'block at byte 140: block length 14 at its start is 0 at its end; reading ends there',
      offset: 140,
    },
    {
      why: 'a length beyond the end of the file',
      bytes: concat(GOOD_NG, hex('06000000 00100000 00000000')),
      packets: 1,
      code: 'CAPTURE_TRUNCATED',
      message: 'block at byte 140: the capture ends 12 bytes into it; all packets before it were read',
      offset: 152,
    },
    {
      why: 'a length above 16 MiB',
      bytes: concat(GOOD_NG, hex('06000000 04000001 00000000')),
      packets: 1,
      code: 'CAPTURE_RECORD_INVALID',
      message: 'block at byte 140: block length 16777220 is not 12 to 16777216; reading ends there',
      offset: 140,
    },
    {
      why: 'two lengths that differ',
      bytes: concat(GOOD_NG, hex('05000000 10000000 00000000 14000000'), GOOD_NG),
      packets: 1,
      code: 'CAPTURE_RECORD_INVALID',
      message: 'block at byte 140: block length 16 at its start is 20 at its end; reading ends there',
      offset: 140,
    },
    {
      why: 'a last block that is cut',
      bytes: GOOD_NG.subarray(0, -1),
      packets: 0,
      code: 'CAPTURE_TRUNCATED',
      message: 'block at byte 52: the capture ends 87 bytes into it; all packets before it were read',
      offset: 139,
    },
    {
      why: 'a packet longer than its block',
      bytes: concat(GOOD_NG, enhancedPacket({ frame: FRAME, capturedLength: 57 })),
      packets: 1,
      code: 'CAPTURE_RECORD_INVALID',
      message: 'block at byte 140: captured length 57 is more than 56; reading ends there',
      offset: 140,
    },
    {
      why: 'a packet block without the fields of one',
      bytes: concat(GOOD_NG, block(6, hex('00000000'))),
      packets: 1,
      code: 'CAPTURE_RECORD_INVALID',
      message: 'block at byte 140: an enhanced packet has 32 bytes or more, this has 16; reading ends there',
      offset: 140,
    },
    {
      why: 'an interface that was not described: counted, and reading goes on',
      bytes: concat(GOOD_NG, enhancedPacket({ frame: FRAME, interfaceId: 7 }), enhancedPacket({ frame: FRAME })),
      packets: 3,
      code: 'CAPTURE_INTERFACE_UNKNOWN',
      message: 'packet 2 at byte 140: interface 7 was not described before it',
      offset: 140,
    },
  ])('$why', expectError)
})

describe('compression', () => {
  const plain = pcap(Array.from({ length: 100 }, () => ({ frame: FRAME })))
  const cutInHalf = (command: string): Uint8Array => {
    const { stdout } = spawnSync(command, ['-c'], { input: plain })
    return new Uint8Array(stdout.subarray(0, stdout.length / 2))
  }

  test.for(['gzip', 'zstd', 'xz'])('%s cut in half', async (command, { skip }) => {
    skip(!requireExternal(command, hasCommand(command)))
    const { result } = await readPackets(cutInHalf(command))
    expect(result.error).toEqual({
      code: 'COMPRESSION_INVALID',
      message: `${command}: the compressed data is cut short after byte ${result.contentBytes} of the content; what came before was read`,
      offset: result.contentBytes,
    })
    expect(result.truncated).toBe(true)
  })
})

describe('files and folders', () => {
  const read = (path: string) => readCapture(path, new Packet(), () => {})

  test('a folder without captures', async () => {
    const folder = newFolder()
    writeFileSync(join(folder, 'notes.txt'), 'no capture\n')
    await expect(listCaptures([folder], () => {})).rejects.toMatchObject({
      code: 'CAPTURE_NOT_FOUND',
      message: `directory ${folder}: no file in it is a capture (pcap, pcapng or snoop, plain or compressed with gzip, zstd or xz)`,
    })
  })

  test('a path that names nothing', async () => {
    await expect(listCaptures(['/nowhere'], () => {})).rejects.toMatchObject({
      code: 'CAPTURE_NOT_FOUND',
      message: 'capture /nowhere: there is no such file or directory',
    })
  })

  test('a file and a folder that may not be read', async () => {
    const folder = newFolder()
    const file = join(folder, 'secret.pcap')
    const closed = join(folder, 'closed')
    writeFileSync(file, GOOD, { mode: 0o000 })
    mkdirSync(closed, { mode: 0o000 })
    chmodSync(folder, 0o755)
    chmodSync(join(folder, '..'), 0o755)
    await asNobody(async () => {
      expect((await read(file)).error).toEqual({
        code: 'CAPTURE_UNREADABLE',
        message: 'capture: cannot be read: permission denied',
        offset: null,
      })
      await expect(listCaptures([closed], () => {})).rejects.toMatchObject({
        code: 'CAPTURE_UNREADABLE',
        message: `capture ${closed}: cannot be opened: EACCES`,
      })
    })
  })

  const BROKEN = '/proc/self/mem'
  test.skipIf(!existsSync(BROKEN))('a file that opens and cannot be read', async () => {
    expect((await read(BROKEN)).error).toEqual({
      code: 'CAPTURE_UNREADABLE',
      message: 'capture: cannot be read: EIO',
      offset: null,
    })
  })

  test('a command names the file in front of the message, and ends with 3', async () => {
    const path = join(newFolder(), 'cut.pcap')
    writeFileSync(path, GOOD.subarray(0, -1))
    expect(await hirundo(['packets', path])).toMatchObject({
      status: 3,
      stderr: `hirundo: ${path}: record 2 at byte 94: the capture ends 69 bytes into it; all packets before it were read [CAPTURE_TRUNCATED]\n`,
    })
  })
})

/** For root every file is readable, so root is put aside. */
async function asNobody(work: () => Promise<void>): Promise<void> {
  if (process.geteuid?.() !== 0) return await work()
  process.seteuid!(65_534)
  try {
    await work()
  } finally {
    process.seteuid!(0)
  }
}

describe('times', () => {
  const dark = ethernet(0x0800, ipv4({ src: '203.0.113.7', dst: '198.19.1.7' }, tcp()))
  const collected = async (seconds: readonly number[]) => {
    const path = join(newFolder(), 'times.pcap')
    writeFileSync(path, pcap(seconds.map(second => ({ frame: dark, seconds: second }))))
    const sensor = ['--sensor', 'a', '--telescope', '198.19.1.0/24', '--out', newFolder()]
    const { status, stdout } = await hirundo(['collect', path, ...sensor, '--json'])
    return { status, capture: JSON.parse(stdout).captures[0] }
  }

  test('going backwards are told, and the packets are counted', async () => {
    const start = 1_763_800_000
    const { status, capture } = await collected([start, start + 4000, start + 3945, start, start + 1, start - 90])
    expect([status, capture.packets_kept, capture.error]).toEqual([0, 6, null])
    expect(capture.warnings).toEqual([
      {
        code: 'CAPTURE_TIME_BACKWARDS',
        message:
          'record 4: time goes back by more than 60 s there and in 1 more, by 3945 s at most; the packets are counted at the times they have, so check the clock of the sensor and the order of the files',
      },
    ])
  })

  test('far in the future are told, and the packets dropped', async () => {
    const { status, capture } = await collected([1_763_800_000, 4_000_000_000, 1_763_800_001])
    expect([status, capture.packets_kept, capture.drops]).toEqual([0, 2, { time_invalid: 1 }])
    expect(capture.warnings).toEqual([
      {
        code: 'CAPTURE_TIME_AHEAD',
        message:
          "record 2: Unix time 4000000000 is more than a day ahead of this machine's clock; such packets are dropped as time_invalid, so check both clocks",
      },
    ])
  })
})

describe('a full disk', () => {
  const canMount = process.getuid?.() === 0 && spawnSync('unshare', ['-m', 'true']).status === 0
  test.skipIf(!requireExternal('unshare, as root', canMount))('leaves no batch, and ends with 1', () => {
    const capture = join(newFolder(), 'many.pcap')
    const frames = Array.from({ length: 4000 }, (_, at) => ({
      frame: ethernet(0x0800, ipv4({ src: `203.0.${at >> 8}.${at & 255}`, dst: '198.19.1.7' }, tcp())),
    }))
    writeFileSync(capture, pcap(frames))
    const out = newFolder()
    const key = join(newFolder(), 'key')
    writeFileSync(key, '07'.repeat(32), { mode: 0o600 })
    const arguments_ = ['collect', capture, '--sensor', 'a', '--telescope', '198.19.1.0/24', '--out', out, '--key', key]
    // The mount is seen by this process and its children only, and goes with them.
    const script = `mount -t tmpfs -o size=16k none ${out} && "$@"; echo "status $?"; find ${out} -type f`
    const command = ['-m', 'sh', '-c', script, 'sh', process.execPath, `${ROOT}bin/hirundo`, ...arguments_]
    const { stdout, stderr } = spawnSync('unshare', command, { encoding: 'utf8' })
    expect([stdout, stderr]).toEqual([
      'status 1\n',
      `hirundo: ${out}: no space left; free some and run again [DISK_FULL]\n`,
    ])
    // The same with room enough does write a batch: it was the disk.
    expect(spawnSync(process.execPath, [`${ROOT}bin/hirundo`, ...arguments_]).status).toBe(0)
    expect(readdirSync(out).filter(name => name.endsWith('.arrow')).length).toBe(1)
  })

  test.skipIf(!requireExternal('unshare, as root', canMount))('leaves nothing of any thread', () => {
    const capture = join(newFolder(), 'large.pcap')
    const one = pcap([{ frame: ethernet(0x0800, ipv4({ src: '203.0.113.1', dst: '198.19.1.7' }, tcp())) }])
    const record = one.subarray(24)
    const count = Math.ceil((66 * 2 ** 20) / record.length)
    const records = Buffer.alloc(count * record.length)
    for (let at = 0; at < count; at++) {
      records.set(record, at * record.length)
      // The source behind the record header, Ethernet, and 12 bytes of IP: each packet is a flow.
      records.writeUInt32BE(0xcb00_0000 + at, at * record.length + 16 + 14 + 12)
    }
    writeFileSync(capture, Buffer.concat([one.subarray(0, 24), records]))
    const [out, keys] = [newFolder(), newFolder()]
    const key = join(keys, 'key')
    writeFileSync(key, '07'.repeat(32), { mode: 0o600 })
    const arguments_ = ['collect', capture, '--sensor', 'a', '--telescope', '198.19.1.0/24', '--out', out, '--key', key]
    const script = `mount -t tmpfs -o size=6m none ${out} && "$@"; echo "status $?"; find ${out}/tmp -type f`
    const command = ['-m', 'sh', '-c', script, 'sh', process.execPath, `${ROOT}bin/hirundo`, ...arguments_]
    const { stdout, stderr } = spawnSync('unshare', [...command, '--jobs', '2'], { encoding: 'utf8' })
    expect([stdout, stderr]).toEqual(['status 1\n', expect.stringContaining('[DISK_FULL]')])
  })

  test.skipIf(!requireExternal('unshare, as root', canMount))(
    'leaves no empty key, so that the next start works',
    () => {
      const out = newFolder()
      const collect = [process.execPath, `${ROOT}bin/hirundo`, 'collect', `${ROOT}fixtures/captures/nmap-syn.pcap`]
      const arguments_ = ['--sensor', 'a', '--telescope', '198.19.1.0/24', '--out', out]
      const script = `mount -t tmpfs -o size=16k none ${out} && head -c 16k /dev/zero > ${out}/full; "$@"; echo "status $?"; rm -f ${out}/full; "$@" > /dev/null; echo "status $?"`
      const { stdout } = spawnSync('unshare', ['-m', 'sh', '-c', script, 'sh', ...collect, ...arguments_], {
        encoding: 'utf8',
      })
      expect(stdout).toBe('status 1\nstatus 0\n')
    },
  )
})
