import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { Collector } from '../../collector/collector.ts'
import { isLinkTypeSupported } from '../../collector/link-type.ts'
import { hashText } from '../../fixtures/simulator/random.ts'
import { parseTelescope } from '../../schemas/address.ts'
import {
  block,
  enhancedPacket,
  interfaceDescription,
  interfaceStatistics,
  MAGIC_NANOSECONDS,
  obsoletePacket,
  pcap,
  sectionHeader,
  simplePacket,
} from '../support/capture-builder.ts'
import { concat, ethernet, hex, ipv4, tcp } from '../support/frame-builder.ts'
import { SAMPLE_FRAMES } from '../support/sample-frames.ts'
import { layoutOf } from './layout.ts'

/** What mutations start from. */
export interface CorpusEntry {
  readonly name: string
  readonly bytes: Uint8Array
}

export interface Corpus {
  /** Captures, and a few files that are none. */
  readonly captures: readonly CorpusEntry[]
  /** Frames behind two bytes of link type, big-endian, and one of decode options. */
  readonly frames: readonly CorpusEntry[]
  /** Batches of our own collector. */
  readonly batches: readonly CorpusEntry[]
  /** Of all bytes: the same seed gives the same cases only where this is the same. */
  readonly digest: string
}

/** Larger captures show nothing that smaller ones do not, and cost a case more time. */
const CAPTURE_BYTES_MAX = 64 * 1024
/** Frames taken from one capture: the first few, which are of every kind in small captures. */
const FRAMES_PER_CAPTURE = 8
/** All tunnels looked into or none, checksums verified or not. */
const DECODE_OPTIONS = [0, 31, 63, 32]
/** The sensor and epoch of all batches of the corpus. */
export const SENSOR = 'fuzz'
export const TELESCOPE_EPOCH = 1
/** Where packets of the corpus go; small, because the order of its addresses is made anew for each case. */
export const TELESCOPES = [
  '198.19.1.0/24,2001:db8:2::/120',
  '198.19.1.0/25',
  '192.168.1.0/24,10.0.0.0/24,203.0.113.0/24',
]

/**
 * @param root of the checkout, with a slash at the end
 * @param folder empty, for the batches while they are made
 */
export async function loadCorpus(root: string, folder: string): Promise<Corpus> {
  const captures = [
    ...filesIn(`${root}fixtures/captures/`),
    // Real captures that lie beside the project on some machines; they are read where they are.
    ...filesIn(`${root}../shared/captures/`),
    ...builtCaptures(),
  ]
  const frames = captures.flatMap(framesOf)
  const batches = await collectedBatches(`${root}fixtures/captures/`, folder)
  const all = [...captures, ...frames, ...batches]
  const digest = all.reduce((hash, { bytes }) => hashText(Buffer.from(bytes).toString('latin1'), hash), 0)
  return { captures, frames, batches, digest: (digest >>> 0).toString(16).padStart(8, '0') }
}

function filesIn(folder: string): CorpusEntry[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter(name => !/\.(md|tsv|txt)$/.test(name))
    .sort()
    .map(name => ({ name, bytes: new Uint8Array(readFileSync(join(folder, name))) }))
    .filter(({ bytes }) => bytes.length <= CAPTURE_BYTES_MAX)
}

const FRAMES: readonly Uint8Array[] = [
  ...SAMPLE_FRAMES,
  // Within the telescope, as a forged source would be.
  ethernet(0x0800, ipv4({ src: '198.19.1.9', dst: '198.19.1.7' }, tcp())),
  ethernet(0x0806, hex('0001 0800 06 04 0001 020000000001 c6336407 000000000000 c6130109')),
]

/** What the files do not show: byte orders, old variants, blocks that few programs write. */
function builtCaptures(): CorpusEntry[] {
  const records = FRAMES.map((frame, index) => ({ frame, seconds: 1_763_800_000 + index * 7 }))
  const extra = records.map(record => ({ ...record, extra: hex('0000000100080000') }))
  const blocks = (endian: 'little' | 'big') =>
    concat(
      sectionHeader(endian),
      interfaceDescription({ snapLength: 96, resolution: 9, offsetSeconds: -5 }, endian),
      interfaceDescription({ linkType: 101, resolution: 0x94 }, endian),
      ...FRAMES.map((frame, index) => enhancedPacket({ frame, interfaceId: index % 3 }, endian)),
      block(0x0bad, hex('00112233'), endian),
      simplePacket(FRAMES[0]!, 500, endian),
      obsoletePacket({ frame: FRAMES[1]! }, endian),
      interfaceStatistics(0, 12, endian),
      sectionHeader(endian),
      interfaceDescription({}, endian),
      enhancedPacket({ frame: FRAMES[2]! }, endian),
    )
  return [
    { name: 'built pcap, big-endian', bytes: pcap(records, { endian: 'big' }) },
    { name: 'built pcap, nanoseconds', bytes: pcap(records, { magic: MAGIC_NANOSECONDS }) },
    { name: 'built pcap, Kuznetzov', bytes: pcap(extra, { magic: 0xa1b2cd34 }) },
    { name: 'two built pcaps one behind the other', bytes: concat(pcap(records), pcap(records)) },
    { name: 'built pcap, version 2.2', bytes: pcap(records, { versionMinor: 2 }) },
    { name: 'built pcapng, little-endian', bytes: blocks('little') },
    { name: 'built pcapng, big-endian', bytes: blocks('big') },
    { name: 'nothing', bytes: new Uint8Array(0) },
    { name: 'text', bytes: new TextEncoder().encode('tcpdump: listening on eth0, link-type EN10MB\n') },
  ]
}

function framesOf({ name, bytes }: CorpusEntry): CorpusEntry[] {
  const content = bytes[0] === 0x1f && bytes[1] === 0x8b ? new Uint8Array(gunzipSync(bytes)) : bytes
  return layoutOf(content)
    .frames.filter(({ linkType }) => isLinkTypeSupported(linkType))
    .slice(0, FRAMES_PER_CAPTURE)
    .map(({ from, to, linkType }, index) => ({
      name: `${name}, frame ${index + 1}`,
      bytes: concat(
        Uint8Array.of(linkType >>> 8, linkType & 0xff, DECODE_OPTIONS[index % DECODE_OPTIONS.length]!),
        content.subarray(from, to),
      ),
    }))
}

const BATCH_CAPTURES = ['masscan-syn-23.pcap', 'nmap-udp.pcap', 'linux-backscatter.pcap', 'nmap-ipv6-syn.pcap']

/** Small batches, and one of several intervals. */
async function collectedBatches(captures: string, out: string): Promise<CorpusEntry[]> {
  const entries: CorpusEntry[] = []
  for (const name of BATCH_CAPTURES) {
    const collector = new Collector({
      sensor: SENSOR,
      telescope: parseTelescope(TELESCOPES[0]!),
      telescopeEpoch: TELESCOPE_EPOCH,
      key: new Uint8Array(32).fill(3),
      out,
    })
    await collector.read(captures + name)
    await collector.finish()
    for (const { path } of collector.batches)
      entries.push({ name: `batch of ${name}`, bytes: new Uint8Array(readFileSync(path)) })
  }
  return entries
}
