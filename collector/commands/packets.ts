import { randomBytes } from 'node:crypto'
import { parseTelescope } from '../../schemas/address.ts'
import type { Command } from '../../schemas/command.ts'
import { EXIT_STATUS, TelescopeError } from '../../schemas/errors.ts'
import { DECODE_OPTIONS, DECODE_USAGE, decodeOptions } from '../decode-options.ts'
import { DROP_NONE } from '../drop.ts'
import { DstIndex } from '../dst-index.ts'
import { LineOutput } from '../line-output.ts'
import { listCaptures, noteToStderr } from '../list-captures.ts'
import { Packet } from '../packet.ts'
import { PACKET_COLUMNS, packetCsv, packetJson } from '../packet-line.ts'
import { fileOf, Progress, totalBytes } from '../progress.ts'
import { readCapture } from '../read-capture.ts'
import { visibleText } from '../visible-text.ts'

const FORMATS = ['csv', 'ndjson']

export const command: Command = {
  summary: 'prints one line a packet, for looking and for comparing',
  usage: `hirundo packets CAPTURE [--format csv|ndjson] [--telescope CIDR,...] [--decapsulate LIST] [--verify-checksums]

Prints what the collector sees of each packet. CAPTURE is a file, a directory or - (standard input): pcap, pcapng or
snoop, plain or compressed with gzip, zstd or xz.

  --format csv|ndjson    csv (default) has a header line; ndjson is one JSON object a line
  --telescope CIDR,...   marks packets for other addresses with the drop reason not_for_telescope
${DECODE_USAGE}

CSV columns: ${PACKET_COLUMNS.join(',')}

Numbers are decimal, time is Unix seconds; a field that does not apply or was not captured is empty. drop is the
reason why the packet would join no flow. Exit status 3: something in the capture was unreadable; what came before it
was printed.`,
  options: {
    format: { type: 'string', default: 'csv' },
    telescope: { type: 'string' },
    ...DECODE_OPTIONS,
  },
  async run({ values, positionals }) {
    const format = String(values['format'])
    if (positionals.length !== 1) {
      throw new TelescopeError('USAGE', `packets: one CAPTURE is needed, ${positionals.length} given`)
    }
    if (!FORMATS.includes(format)) {
      throw new TelescopeError('USAGE', `packets: format "${format}" is unknown; there are ${FORMATS.join(' and ')}`)
    }
    const telescope = values['telescope']
    const mark = telescope === undefined ? () => {} : telescopeMarker(String(telescope))
    const packet = new Packet()
    packet.decodeOptions = decodeOptions(values, 'packets')
    const captures = await listCaptures(positionals, noteToStderr)
    return await printPackets(captures, packet, format === 'csv', mark)
  },
}

/** The key only orders addresses, and no order is printed, so any will do. */
function telescopeMarker(telescope: string): (packet: Packet) => void {
  const dstIndex = new DstIndex(parseTelescope(telescope), randomBytes(32))
  return packet => {
    if (packet.drop === DROP_NONE) packet.drop = dstIndex.dropReason(packet)
  }
}

async function printPackets(
  captures: readonly string[],
  packet: Packet,
  isCsv: boolean,
  mark: (packet: Packet) => void,
): Promise<number> {
  const output = new LineOutput()
  let status = 0
  let packetsBefore = 0
  if (isCsv) output.line(PACKET_COLUMNS.join(','))
  const print = (): void => {
    // A directory is one sequence: its packets are numbered through.
    packet.index += packetsBefore
    mark(packet)
    output.line(isCsv ? packetCsv(packet) : packetJson(packet))
  }
  // Lines and progress on the same terminal would run into each other.
  const progress = process.stdout.isTTY ? null : new Progress(totalBytes(captures))
  let bytesBefore = 0
  for (const [place, path] of captures.entries()) {
    const onChunk = (bytes: number): Promise<void> => {
      progress?.update(bytesBefore + bytes, packet.index, fileOf(place, captures.length))
      return output.drain()
    }
    const result = await readCapture(path, packet, print, { onChunk, signal: output.signal }).finally(() =>
      progress?.clear(),
    )
    bytesBefore += result.bytesRead
    packetsBefore += result.packetsRead
    if (output.signal.aborted) break
    if (result.error) {
      status = EXIT_STATUS.input
      process.stderr.write(
        `hirundo: ${visibleText(path)}: ${visibleText(result.error.message)} [${result.error.code}]\n`,
      )
    }
  }
  await output.end()
  return status
}
