import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, test } from 'vitest'
import { isLinkTypeSupported } from '../../collector/link-type.ts'
import { Packet } from '../../collector/packet.ts'
import { readCapture } from '../../collector/read-capture.ts'
import { hasCommand, hasSharedCaptures, requireExternal, SHARED_CAPTURES } from '../support/external.ts'
import { COMPARED, type Column, mapRow, type OurRow, ourRow, runTshark, type TsharkRow } from '../support/tshark.ts'

// Goal: what `packets` prints equals what tshark dissects, packet for packet and column for column, on every real
// capture whose link types we read; on a damaged capture up to the break.
// Method: `tshark -T fields` with all reassembly off, mapped to our columns. Undamaged captures are concatenated by
// mergecap first, to start few processes; what is damaged or odd is dissected as it is. A tunnel or an ICMP error makes tshark
// print several values of a field: the first is that of the first IP header, and transport fields are taken only when
// the protocol of that header says so.

interface Exception {
  readonly file: string
  readonly packets: readonly number[]
  readonly columns: readonly Column[]
  readonly reason: string
}

const FRACTION = 'the fraction is a second or more: we add both fields up, tshark prints them side by side'
const TCP_CUT = 'the TCP header is cut: we use the fields that are there, tshark stops at the first that is not'
const ICMP_CUT = 'the ICMP header ends behind its code: we use the fields that are there, tshark shows none'
const TCP_OFFSET = 'the TCP data offset is below 5: tshark stops there, we read the fixed fields behind it'
const FCS =
  'the inner frame ends with its IPv6 header: tshark takes the last four bytes of it for a frame check sequence'

const EXCEPTIONS: readonly Exception[] = [
  { file: 'ndpi__fuzz-2021-10-13.pcap', packets: [1], columns: ['time'], reason: FRACTION },
  { file: 'tcpdump__timestamp_invalid_micro.pcap', packets: [2, 3], columns: ['time'], reason: FRACTION },
  { file: 'tcpdump__timestamp_invalid_nano.pcap', packets: [2, 3], columns: ['time'], reason: FRACTION },
  { file: 'ndpi__fuzz-2006-06-26-2594.pcap', packets: [86], columns: ['tcp_seq'], reason: TCP_CUT },
  {
    file: 'suricata__bug-6887-defrag-ppp-ipv4-tcp-syn__frag-ppp-ip-tcp-syn.pcap',
    packets: [1],
    columns: ['tcp_seq'],
    reason: TCP_CUT,
  },
  {
    file: 'tcpdump__icmp-icmp_print-oobr-2.pcap',
    packets: [3],
    columns: ['icmp_type', 'icmp_code'],
    reason: ICMP_CUT,
  },
  {
    file: 'ndpi__ip_fragmented_garbage.pcap',
    packets: [1, 940],
    columns: ['tcp_flags', 'tcp_window'],
    reason: TCP_OFFSET,
  },
  { file: 'ndpi__kerberos_fuzz.pcapng', packets: [1], columns: ['tcp_flags', 'tcp_window'], reason: TCP_OFFSET },
  {
    file: 'zeek__ipv4-internally-truncated-header.pcap',
    packets: [1],
    columns: ['dst'],
    reason: 'the IP options are cut: tshark prints no destination, although the capture holds it',
  },
  {
    file: 'zeek__cisco-fabric-path.pcap',
    packets: [114, 116, 118, 120, 122, 124, 126, 128],
    columns: ['dst'],
    reason: FCS,
  },
  {
    file: 'suricata__bug-6875-01__fuzz.pcap',
    packets: [1],
    columns: COMPARED,
    reason: 'record 2 is impossible: tshark concludes that all record headers are 8 bytes longer; we keep record 1',
  },
]

const isPresent =
  requireExternal('tshark and mergecap', hasCommand('tshark') && hasCommand('mergecap')) &&
  requireExternal('../shared/captures', hasSharedCaptures())
/** Tags of switch chips: see switch-tags-tcpdump.test.ts. */
const UNKNOWN_TO_TSHARK: ReadonlySet<number> = new Set([281, 282, 284, 285])
/** tshark takes 0.2 s to start: undamaged captures are put behind one another and dissected together. */
const CAPTURES_TOGETHER = 40

/** The rows of each capture; when the counts do not fit, each is dissected alone, and the comparison tells which. */
async function runTsharkTogether(captures: readonly OurCapture[]): Promise<TsharkRow[][]> {
  const folder = mkdtempSync(join(tmpdir(), 'hirundo-'))
  try {
    const merged = join(folder, 'merged.pcapng')
    const paths = captures.map(({ file }) => SHARED_CAPTURES + file)
    await promisify(execFile)('mergecap', ['-a', '-F', 'pcapng', '-w', merged, ...paths])
    const rows = await runTshark(merged)
    if (rows.length !== captures.reduce((sum, capture) => sum + capture.rows.length, 0)) {
      return await Promise.all(paths.map(path => runTshark(path)))
    }
    return captures.map(capture => rows.splice(0, capture.rows.length))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

interface OurCapture {
  readonly file: string
  readonly rows: readonly OurRow[]
  readonly isDamaged: boolean
  /** Why the capture is not compared; null when it is. */
  readonly outside: string | null
}

async function readOurs(file: string): Promise<OurCapture> {
  const rows: OurRow[] = []
  const result = await readCapture(SHARED_CAPTURES + file, new Packet(), packet => void rows.push(ourRow(packet)))
  const foreign = result.linkTypes.find(linkType => !isLinkTypeSupported(linkType) || UNKNOWN_TO_TSHARK.has(linkType))
  const outside =
    result.format === null ? (result.error?.code ?? '') : foreign === undefined ? null : `link type ${foreign}`
  return { file, rows, isDamaged: result.error !== null, outside }
}

/** Merging rewrites records, so what is odd is dissected as it is. */
function isMergeable({ file, rows, isDamaged }: OurCapture): boolean {
  return !isDamaged && rows.every(({ time }) => time !== '') && EXCEPTIONS.every(exception => exception.file !== file)
}

interface Comparison {
  readonly file: string
  readonly packets: number
  /** `packet 3 src: tshark "…", ours "…"`, exceptions left out. */
  readonly differences: readonly string[]
  readonly usedExceptions: readonly string[]
}

function compare({ file, rows, isDamaged }: OurCapture, theirs: readonly TsharkRow[]): Comparison {
  const differences: string[] = []
  const usedExceptions: string[] = []
  if (!isDamaged && rows.length !== theirs.length) {
    differences.push(`tshark has ${theirs.length} packets, ours are ${rows.length}`)
  }
  const packets = Math.min(rows.length, theirs.length)
  for (let at = 0; at < packets; at++) {
    const expected = mapRow(theirs[at]!, at + 1)
    for (const column of COMPARED) {
      if (rows[at]![column] === expected[column]) continue
      const exception = EXCEPTIONS.find(
        entry => entry.file === file && entry.packets.includes(at + 1) && entry.columns.includes(column),
      )
      if (exception) usedExceptions.push(`${file} ${at + 1} ${column}`)
      else differences.push(`packet ${at + 1} ${column}: tshark "${expected[column]}", ours "${rows[at]![column]}"`)
    }
  }
  return { file, packets, differences, usedExceptions }
}

async function compareAll(captures: readonly OurCapture[]): Promise<Comparison[]> {
  const comparisons: Comparison[] = []
  const mergeable = captures.filter(isMergeable)
  for (let from = 0; from < mergeable.length; from += CAPTURES_TOGETHER) {
    const together = mergeable.slice(from, from + CAPTURES_TOGETHER)
    const theirs = await runTsharkTogether(together)
    comparisons.push(...together.map((capture, index) => compare(capture, theirs[index]!)))
  }
  for (const capture of captures) {
    if (!isMergeable(capture)) comparisons.push(compare(capture, await runTshark(SHARED_CAPTURES + capture.file)))
  }
  return comparisons
}

describe.skipIf(!isPresent)('packets against tshark', () => {
  const captures: OurCapture[] = []
  let comparisons: Comparison[] = []

  beforeAll(async () => {
    const manifest = readFileSync(`${SHARED_CAPTURES}MANIFEST.tsv`, 'utf8').trimEnd().split('\n').slice(1)
    for (const line of manifest) captures.push(await readOurs(line.split('\t')[0]!))
    comparisons = await compareAll(captures.filter(({ outside }) => outside === null))
  }, 240_000)

  test('every packet and column is equal', () => {
    const wrong = comparisons.filter(({ differences }) => differences.length > 0)
    expect(wrong.map(({ file, differences }) => ({ file, differences: differences.slice(0, 10) }))).toEqual([])
  })

  test('nothing is left out but other link types and other formats', () => {
    const reasons = captures.map(({ outside }) => outside ?? '').filter(outside => outside !== '')
    const known = /^(link type \d+|CAPTURE_FORMAT_UNKNOWN|CAPTURE_VERSION_UNSUPPORTED|CAPTURE_HEADER_INVALID)$/
    expect(reasons.filter(reason => !known.test(reason))).toEqual([])
    expect(comparisons.length).toBeGreaterThanOrEqual(199)
    expect(comparisons.reduce((sum, { packets }) => sum + packets, 0)).toBeGreaterThan(45_000)
  })

  test('every exception is still needed', () => {
    const used = new Set(comparisons.flatMap(({ usedExceptions }) => usedExceptions))
    const stale = EXCEPTIONS.flatMap(({ file, packets }) =>
      packets
        .filter(packet => ![...used].some(key => key.startsWith(`${file} ${packet} `)))
        .map(packet => [file, packet]),
    )
    expect(stale).toEqual([])
  })
})
