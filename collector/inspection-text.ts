import type { ToolEvidence } from '../schemas/tool-evidence.ts'
import type { CaptureInspection, Counted, CountedSource } from './capture-inspection.ts'
import { formatLinkType, isLinkTypeSupported } from './link-type.ts'
import { formatCount } from './progress.ts'

const LABEL_WIDTH = 12
const TOP_UDP_PROBES = 10

/** An inspection as lines to read; each has a label in front. */
export function inspectionText(inspection: CaptureInspection): string {
  const lines = [
    inspection.path,
    row('format', inspection.format ?? 'unknown'),
    row('link type', inspection.link_types.map(linkTypeText).join(', ') || 'none'),
    row('packets', `${formatCount(inspection.packets)}, ${bytesText(inspection)}`),
    ...timeRows(inspection),
    ...rows('classes', inspection.classes, inspection.packets),
    ...rows('protocols', inspection.protocols, inspection.packets),
    ...rows('top ports', inspection.ports, inspection.packets),
    row('sources', `${inspection.sources_capped ? 'more than ' : ''}${formatCount(inspection.source_count)}`),
    ...sourceRows(inspection.sources, inspection.packets),
    ...rows('tools', inspection.tools, inspection.packets),
    ...rows('UDP probes', inspection.udp_probes.slice(0, TOP_UDP_PROBES), inspection.packets),
    ...rows('not counted', inspection.drops, inspection.packets),
    ...prefixRows(inspection),
  ]
  if (inspection.interface_drops !== null) {
    lines.push(row('lost', `${formatCount(inspection.interface_drops)} packets, as the capturing machine says`))
  }
  if (inspection.error) lines.push(row('error', `${inspection.error.message} [${inspection.error.code}]`))
  return lines.join('\n')
}

function linkTypeText({ number }: { readonly number: number }): string {
  return isLinkTypeSupported(number) ? formatLinkType(number) : `${formatLinkType(number)}, not supported`
}

function row(label: string, text: string): string {
  return `  ${label.padEnd(LABEL_WIDTH)}${text}`
}

function bytesText({ bytes_captured, bytes_on_wire }: CaptureInspection): string {
  const captured = `${formatCount(bytes_captured)} bytes captured`
  return bytes_captured === bytes_on_wire ? captured : `${captured} of ${formatCount(bytes_on_wire)} on the wire`
}

function timeRows({ first_packet, last_packet, duration_seconds, packets_per_second }: CaptureInspection): string[] {
  if (first_packet === null || last_packet === null) return []
  const rate = packets_per_second === null ? '' : `, ${rateText(packets_per_second)} packets/s`
  return [row('first', first_packet), row('last', `${last_packet}, ${durationText(duration_seconds)} later${rate}`)]
}

function rateText(rate: number): string {
  return rate >= 100 ? formatCount(Math.round(rate)) : rate.toPrecision(2)
}

function durationText(seconds: number): string {
  if (seconds < 120) return `${seconds.toFixed(1)} s`
  if (seconds < 7200) return `${(seconds / 60).toFixed(1)} min`
  if (seconds < 172_800) return `${(seconds / 3600).toFixed(1)} h`
  return `${(seconds / 86_400).toFixed(1)} days`
}

/** The first line carries the label. */
function rows(label: string, counts: readonly Counted<string>[], total: number): string[] {
  const width = Math.max(0, ...counts.map(({ name }) => name.length)) + 2
  return counts.map(({ name, packets }, at) =>
    row(at === 0 ? label : '', `${name.padEnd(width)}${formatCount(packets)} (${percent(packets, total)})`),
  )
}

function sourceRows(sources: readonly CountedSource[], total: number): string[] {
  const lines = rows('top sources', sources, total)
  return lines.map((line, at) => [line, ...sources[at]!.tools.map(evidenceText)].join(', '))
}

function evidenceText({ name, matched, packets, chance }: ToolEvidence): string {
  return `${name} ${formatCount(matched)} of ${formatCount(packets)} (${chanceText(chance)})`
}

function chanceText(chance: number | null): string {
  if (chance === null) return 'profile'
  return chance === 0 ? 'chance below 1e-300' : `chance ${chance.toExponential(0)}`
}

function percent(part: number, whole: number): string {
  return `${((part / whole) * 100).toFixed(1)} %`
}

function prefixRows({ likely_prefixes, packets: total }: CaptureInspection): string[] {
  return likely_prefixes.map(({ prefix, packets, destinations }, at) =>
    row(
      at === 0 ? 'likely dark' : '',
      `${prefix}  ${formatCount(destinations)} destinations, ${formatCount(packets)} packets (${percent(packets, total)})`,
    ),
  )
}
