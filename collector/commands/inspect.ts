import type { Command } from '../../schemas/command.ts'
import { EXIT_STATUS, TelescopeError } from '../../schemas/errors.ts'
import type { CaptureInspection } from '../capture-inspection.ts'
import { DECODE_OPTIONS, DECODE_USAGE, decodeOptions } from '../decode-options.ts'
import { inspectCaptures } from '../inspect-captures.ts'
import { inspectionText } from '../inspection-text.ts'
import { LineOutput } from '../line-output.ts'
import { listCaptures, noteToStderr } from '../list-captures.ts'
import { pageStyle } from '../page-style.ts'
import { visibleJson } from '../visible-text.ts'

export const command: Command = {
  summary: 'says what is in a capture, for people',
  usage: `hirundo inspect CAPTURE... [--json] [--decapsulate LIST] [--verify-checksums]

Format, link types, times, packets over time, classes, protocols, ports, sources with the evidence for their tools,
tools, UDP probes, what would not be counted and why, and the dark prefixes that the capture is likely of. CAPTURE is a
file, a directory or - (standard input): pcap, pcapng or snoop, plain or compressed with gzip, zstd or xz. Of several
captures each is told, then all together.

The width is that of the terminal, else COLUMNS or 80. Colour is used on a terminal only; NO_COLOR=1 turns it off,
FORCE_COLOR=1 on.

  --json                 one JSON object: { "captures": [INSPECTION, ...], "total": INSPECTION }
${DECODE_USAGE}

An INSPECTION has these fields; later versions may add some. A COUNT is { "name", "packets" }, largest first; what
follows "drops" in this list, and all counts but packets, bytes, times and drops, are of packets without drop reason.

  path, format              null in the total, and format where it could not be told
  link_types                [{ "number", "name": text or null }]
  packets, packets_kept     all, and those without drop reason
  bytes_captured, bytes_on_wire
  first_packet, last_packet ISO 8601 or null; duration_seconds; packets_per_second or null
  packets_over_time         null or { "start": ISO 8601, "bucket_seconds", "packets": [...] }, 120 buckets at most
  classes, protocols        COUNTs
  ports                     the first 10: COUNT with "service" (IANA's name or null) and "backscatter" (packets that
                            are replies from the port)
  sources                   the first 10: COUNT with "tools", [{ "name", "matched", "packets", "chance" }]: the tools that
                            matched of its packets fit, where that cannot be chance; chance is how likely as many are
                            by chance, 0 where a double cannot hold it, null for a profile: nobody knows
  source_count
  sources_capped            true when there are more than 524 288 sources: those that came first were counted one by
                            one, source_count is the least there can be, and sources_other_packets came from others
  tools                     COUNTs of packets whose header fits the tool
  udp_probes                COUNTs of requests that the first bytes of UDP payloads betray
  drops                     COUNTs by drop reason
  likely_prefixes           the first 8: "prefix", "packets", "destinations" (seen), "addresses" (number or null),
                            "first_contacts" (sources that came there first), "confidence" (high, medium, low),
                            "proposed" (true where collect --telescope auto would use it)
  destinations_other_packets  packets to destinations beyond the first 262 144, which likely_prefixes leaves out
  interface_drops           packets that the capturing machine lost; null where the capture does not say
  truncated, error          error is null or { "code", "message", "offset" }

Exit status 3: something in a capture was unreadable; what came before it is told.`,
  options: { json: { type: 'boolean', default: false }, ...DECODE_OPTIONS },
  async run({ values, positionals }) {
    if (positionals.length === 0) throw new TelescopeError('USAGE', 'inspect: at least one CAPTURE is needed')
    const options = decodeOptions(values, 'inspect')
    const output = new LineOutput()
    const style = pageStyle(process.stdout, process.env)
    const isJson = values['json'] === true
    const paths = await listCaptures(positionals, noteToStderr)
    const { captures, total } = await inspectCaptures(paths, {
      decodeOptions: options,
      signal: output.signal,
      onInspection: (inspection, place) => {
        if (isJson) return
        output.line(`${place === 0 ? '' : '\n\n'}${inspectionText(inspection, style)}`)
        output.flush()
      },
    })
    if (isJson) output.line(visibleJson({ captures, total }, 2))
    else if (paths.length > 1) output.line(`\n\n${inspectionText(total, style, totalTitle(captures))}`)
    await output.end()
    return captures.some(({ error }) => error !== null) ? EXIT_STATUS.input : 0
  },
}

function totalTitle(captures: readonly CaptureInspection[]): string {
  const wrong = captures.filter(({ error }) => error !== null).length
  return `All ${captures.length} captures together${wrong === 0 ? '' : `, ${wrong} with an error`}`
}
