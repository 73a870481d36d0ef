import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Compression } from '../../collector/compression.ts'
import { DecompressingSource } from '../../collector/decompressing-source.ts'
import { DecompressionError } from '../../collector/decompressor.ts'
import { hasNativeZstd, openZstd } from '../../collector/zstd-decompressor.ts'
import { pcap, pcapRecord } from '../support/capture-builder.ts'
import { hasCommand, requireExternal } from '../support/external.ts'
import { concat, ethernet, hex, ipv4, tcp } from '../support/frame-builder.ts'
import { memorySource, readPackets } from '../support/read-packets.ts'
import { blockHeader, rawBlock, rleBlock, skippableFrame, zstdFrame } from '../support/zstd-builder.ts'

// Goal: a compressed capture gives the packets of the plain one, whatever the compression and however it was cut into
// members, frames, streams and reads; a damaged one gives what came before; none takes more memory than is allowed.
// Method: the command-line tools compress; frames made byte by byte say what no tool writes.

const FRAME = ethernet(0x0800, ipv4({}, tcp()))
const PACKETS = 5000
const PLAIN = pcap(
  Array.from({ length: PACKETS }, () => ({
    frame: concat(FRAME, new Uint8Array(randomBytes(20)), new Uint8Array(20)),
  })),
)
const HALF = PLAIN.length / 2
/** Records without anything in them, so that the parser finds no fault. */
const BOMB = concat(pcap([]), Buffer.alloc(64 * 1024 * 1024, pcapRecord({ frame: new Uint8Array(65_000) })))

function compress(command: string, args: readonly string[], input: Uint8Array): Uint8Array {
  const { status, stdout, stderr } = spawnSync(command, args, { input, maxBuffer: 1 << 28 })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`)
  return new Uint8Array(stdout)
}

const zstd = (bytes: Uint8Array, ...args: string[]) => compress('zstd', ['-q', '-c', ...args], bytes)
const xz = (bytes: Uint8Array, ...args: string[]) => compress('xz', ['-q', '-c', ...args], bytes)
const hasZstd = requireExternal('zstd', hasCommand('zstd'))
const hasXz = requireExternal('xz', hasCommand('xz'))

const COMPRESSIONS = [
  { name: 'gzip', has: true, checksumAt: -8, compress: (bytes: Uint8Array) => new Uint8Array(gzipSync(bytes)) },
  { name: 'zstd', has: hasZstd, checksumAt: -1, compress: zstd },
  { name: 'xz', has: hasXz, checksumAt: -32, compress: xz },
] as const

describe.each(COMPRESSIONS)('$name', ({ name, has, checksumAt, compress: compressed }) => {
  test.skipIf(!has)('gives what the plain capture gives, however it is cut into reads', async () => {
    const bytes = compressed(PLAIN)
    const sizes = fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 8 })
    const property = fc.asyncProperty(sizes, async pieceBytes => {
      const { result } = await readPackets(bytes, { pieceBytes })
      expect(result).toMatchObject({
        format: `pcap (${name})`,
        packetsRead: PACKETS,
        bytesRead: bytes.length,
        contentBytes: PLAIN.length,
        truncated: false,
        error: null,
      })
    })
    await fc.assert(property, { numRuns: 10 })
  })

  test.skipIf(!has)('parts that were compressed one by one are one capture', async () => {
    const bytes = concat(compressed(PLAIN.subarray(0, HALF)), compressed(PLAIN.subarray(HALF)))
    expect((await readPackets(bytes)).result).toMatchObject({
      packetsRead: PACKETS,
      contentBytes: PLAIN.length,
      error: null,
    })
  })

  test.skipIf(!has)('cut in half: what came before the cut is read, and the message says where it ends', async () => {
    const bytes = compressed(PLAIN)
    const { result } = await readPackets(bytes.subarray(0, bytes.length / 2))
    const { contentBytes } = result
    expect(result).toMatchObject({
      truncated: true,
      error: {
        code: 'COMPRESSION_INVALID',
        message: `${name}: the compressed data is cut short after byte ${contentBytes} of the content; what came before was read`,
        offset: contentBytes,
      },
    })
    // A zstd block holds up to 128 KiB, and nothing of it can be read before it is there whole.
    expect(contentBytes).toBeGreaterThan(PLAIN.length / 2 - 140_000)
    expect(result.packetsRead).toBe(Math.floor((contentBytes - 24) / (16 + FRAME.length + 40)))
  })

  test.skipIf(!has)('damaged: most of what came before is read', async () => {
    // A second part that begins with the magic of the first and is nonsense behind it: no checksum decides here.
    const whole = compressed(PLAIN)
    const { result } = await readPackets(concat(whole, whole.subarray(0, 6), new Uint8Array(64).fill(0x5f)))
    expect(result).toMatchObject({
      truncated: true,
      error: {
        code: 'COMPRESSION_INVALID',
        message: expect.stringMatching(
          new RegExp(
            `^${name}: the compressed data is damaged \\(.+\\) after byte ${result.contentBytes} of the content`,
          ),
        ),
      },
    })
    expect(result.contentBytes).toBeGreaterThan(PLAIN.length / 2)
  })

  test.skipIf(!has)('a checksum that is not that of the content is damage', async () => {
    const bytes = compressed(PLAIN).slice()
    bytes[bytes.length + checksumAt]! ^= 1
    const { result } = await readPackets(bytes)
    expect(result).toMatchObject({
      truncated: true,
      error: {
        code: 'COMPRESSION_INVALID',
        message: expect.stringContaining(`${name}: the compressed data is damaged (`),
      },
    })
    expect(result.packetsRead).toBeGreaterThanOrEqual(PACKETS * (15 / 16) - 1)
  })

  test.skipIf(!has)('a bomb is stopped soon after the first MiB', async () => {
    const { result } = await readPackets(compressed(BOMB))
    expect(result.error).toMatchObject({
      code: 'COMPRESSION_BOMB',
      message: expect.stringMatching(
        new RegExp(
          `^${name}: \\d+ bytes expand to \\d+ or more, allowed are 100 times the compressed bytes; decompress it yourself if you trust it$`,
        ),
      ),
    })
    expect(result.contentBytes).toBeLessThan(8 * 1024 * 1024)
  })

  test.skipIf(!has)('more content than allowed', async () => {
    const { result } = await readPackets(compressed(PLAIN), { contentBytesMax: PLAIN.length - 1 })
    expect(result.error).toMatchObject({
      code: 'COMPRESSION_BOMB',
      message: expect.stringContaining(`allowed are ${PLAIN.length - 1} bytes; decompress`),
    })
  })

  test.skipIf(!has)('an end before the end of the input leaves nothing behind', async () => {
    const abort = new AbortController()
    const { result } = await readPackets(compressed(PLAIN), {
      signal: abort.signal,
      onChunk: () => abort.abort(),
      pieceBytes: [4096],
    })
    expect(result).toMatchObject({ error: null, truncated: false })
    // The next one is read although the first was not read to its end.
    expect((await readPackets(compressed(PLAIN))).result.packetsRead).toBe(PACKETS)
  })
})

interface Unzstd {
  readonly content: Uint8Array
  readonly kind: string | null
  readonly message: string | null
}

async function unzstd(pieces: readonly Uint8Array[], isNative: boolean): Promise<Unzstd> {
  const content: Uint8Array[] = []
  const decompressor = await openZstd(chunk => void content.push(chunk.slice()), isNative)
  let error: unknown = null
  try {
    for (const piece of pieces) await decompressor.write(piece)
    await decompressor.end()
  } catch (cause) {
    error = cause
  }
  await decompressor.close()
  if (error !== null && !(error instanceof DecompressionError)) throw error
  return { content: concat(...content), kind: error?.kind ?? null, message: error?.message ?? null }
}

describe.each([
  { decoder: 'of Node', isNative: true },
  { decoder: 'in JavaScript', isNative: false },
])('zstd decoder $decoder', ({ isNative }) => {
  // Node has it from 22.15 on; older ones are supported, so its absence is no fault, on CI neither.
  const isAbsent = isNative && !hasNativeZstd
  const it = test.skipIf(isAbsent)
  const HELLO = new TextEncoder().encode('hello, darkness')

  test.skipIf(isAbsent || !hasZstd)('reads what zstd writes at every level', async () => {
    for (const args of [['-1'], ['-19'], ['--fast=5'], ['--no-check'], ['--zstd=wlog=23']]) {
      const { content, kind } = await unzstd([zstd(PLAIN, ...args)], isNative)
      expect([args, kind, Buffer.compare(content, PLAIN)]).toEqual([args, null, 0])
    }
  })

  it('frames without content, skippable frames, empty frames, byte by byte', async () => {
    const bytes = concat(
      skippableFrame(HELLO),
      zstdFrame([rawBlock(HELLO, true)]),
      zstdFrame([rawBlock(hex(''), true)]),
      skippableFrame(hex('')),
      zstdFrame([rawBlock(HELLO, false), rleBlock(0x21, 3, true)]),
    )
    const pieces = [...bytes].map(byte => Uint8Array.of(byte))
    const text = 'hello, darknesshello, darkness!!!'
    for (const fed of [[bytes], pieces]) {
      const { content, kind } = await unzstd(fed, isNative)
      expect([kind, new TextDecoder().decode(content)]).toEqual([null, text])
    }
  })

  it('nothing is no frame that is cut', async () => {
    expect(await unzstd([], isNative)).toMatchObject({ kind: null })
  })

  it.each([
    { why: 'within the magic', cut: 3 },
    { why: 'within the header', cut: 5 },
    { why: 'within a block', cut: 12 },
  ])('cut $why', async ({ cut }) => {
    const bytes = zstdFrame([rawBlock(HELLO, true)])
    expect((await unzstd([bytes.subarray(0, cut)], isNative)).kind).toBe('cut')
  })

  it.each([
    {
      why: 'a window above 8 MiB',
      bytes: zstdFrame([rawBlock(HELLO, true)], 14),
      kind: 'unsupported',
      message: 'a window of 16777216 bytes is needed, allowed are 8388608; decompress it with `zstd -d --long=31`',
    },
    {
      why: 'a single segment above 8 MiB',
      bytes: hex('28b52ffd a0 01008000'),
      kind: 'unsupported',
      message: 'a window of 8388609 bytes is needed, allowed are 8388608; decompress it with `zstd -d --long=31`',
    },
    {
      why: 'a dictionary',
      bytes: hex('28b52ffd 01 38 07'),
      kind: 'unsupported',
      message: 'a dictionary is needed; decompress it with `zstd -d -D DICTIONARY`',
    },
    {
      why: 'a reserved bit',
      bytes: hex('28b52ffd 08 38'),
      kind: 'damaged',
      message: 'a reserved bit of a frame header is set',
    },
    {
      why: 'a block of the reserved type',
      bytes: zstdFrame([blockHeader(1, 3, true)]),
      kind: 'damaged',
      message: 'a block of the reserved type',
    },
    {
      why: 'a block above 128 KiB',
      bytes: zstdFrame([blockHeader(131_073, 1, true)]),
      kind: 'damaged',
      message: 'a block of 131073 bytes, allowed are 131072',
    },
    {
      why: 'a block above its window',
      bytes: zstdFrame([blockHeader(1025, 1, true)], 0),
      kind: 'damaged',
      message: 'a block of 1025 bytes, allowed are 1024',
    },
    {
      why: 'rubbish behind a frame',
      bytes: concat(zstdFrame([rawBlock(HELLO, true)]), hex('00112233')),
      kind: 'damaged',
      message: '0x33221100 where a frame should begin',
    },
  ])('$why is refused', async ({ bytes, kind, message }) => {
    expect(await unzstd([bytes], isNative)).toMatchObject({ kind, message })
  })

  it('a window of 8 MiB is read', async () => {
    expect(await unzstd([zstdFrame([rawBlock(HELLO, true)], 13)], isNative)).toMatchObject({ kind: null })
  })

  it('small frames with large windows are refused after the first GiB of windows', async () => {
    const frame = zstdFrame([rawBlock(HELLO, true)], 13)
    const { content, kind, message } = await unzstd(Array<Uint8Array>(200).fill(frame), isNative)
    expect([kind, message]).toEqual([
      'unsupported',
      `its frames need windows of ${129 * 8 * 1024 * 1024} bytes, far more than they hold; decompress it with \`zstd -d\``,
    ])
    expect(content.length).toBe(128 * HELLO.length)
  })

  it('a bomb of 32 000 to 1 hands out no more than a block at once', async () => {
    const blocks = Array.from({ length: 1000 }, (_, index) => rleBlock(0, 131_072, index === 999))
    let largest = 0
    const decompressor = await openZstd(chunk => {
      largest = Math.max(largest, chunk.length)
    }, isNative)
    await decompressor.write(zstdFrame(blocks))
    await decompressor.close()
    expect(largest).toBeLessThanOrEqual(256 * 1024)
  })
})

test('a decoder that cannot be loaded is an error, and nothing waits for it', async () => {
  const boom = new Error('boom')
  const broken: Compression = { name: 'xz', isMagic: () => true, open: () => Promise.reject(boom) }
  const source = new DecompressingSource(broken, memorySource(hex('00')), hex(''), 1)
  await expect(source.read(new Uint8Array(1), 0, 1)).rejects.toBe(boom)
})

test('the next piece is on its way before the content of one is handed out', async () => {
  const order: string[] = []
  const slow: Compression = {
    name: 'gzip',
    isMagic: () => true,
    open: onContent => ({
      write: piece => {
        order.push('write')
        return new Promise(resolve => {
          // As zlib does it: on a turn of its own, first the content, then the answer.
          setImmediate(() => {
            onContent(piece.slice())
            process.nextTick(resolve)
          })
        })
      },
      end: async () => {},
      close: async () => {},
    }),
  }
  const source = new DecompressingSource(slow, memorySource(new Uint8Array(1000)), hex(''), 1e6)
  const target = new Uint8Array(256)
  for (let reads = 0; reads < 3; reads++) {
    await source.read(target, 0, target.length)
    order.push('read')
  }
  await source.close()
  expect(order).toEqual(['write', 'write', 'read', 'write', 'read', 'write', 'read'])
})

test.skipIf(!hasXz)('xz: what the decoder cannot hold or check is refused by name', async () => {
  const message =
    'xz: it needs a dictionary above 64 MiB, a filter or a checksum that is not read here; decompress it with `xz -d`'
  for (const args of [['--lzma2=preset=6,dict=65MiB'], ['--check=sha256'], ['--delta', '--lzma2']]) {
    const { result } = await readPackets(xz(PLAIN, ...args))
    expect([args, result.error]).toEqual([args, { code: 'COMPRESSION_UNSUPPORTED', message, offset: 0 }])
  }
  for (const args of [['-9'], ['--check=crc32'], ['--check=none'], ['-T2', '--block-size=65536'], ['-0']]) {
    const { result } = await readPackets(xz(PLAIN, ...args))
    expect([args, result.packetsRead, result.error]).toEqual([args, PACKETS, null])
  }
})
