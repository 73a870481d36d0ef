import { statSync } from 'node:fs'
import type { Command } from '../../schemas/command.ts'
import { EXIT_STATUS, TelescopeError } from '../../schemas/errors.ts'
import { type CaptureInspection, CaptureInspector } from '../capture-inspection.ts'
import { DECODE_OPTIONS, DECODE_USAGE, decodeOptions } from '../decode-options.ts'
import { inspectionText } from '../inspection-text.ts'
import { LineOutput } from '../line-output.ts'
import { listCaptures } from '../list-captures.ts'
import { Packet } from '../packet.ts'
import { Progress } from '../progress.ts'
import { readCapture } from '../read-capture.ts'

export const command: Command = {
  summary: 'says what is in a capture, for people',
  usage: `hirundo inspect CAPTURE... [--json] [--decapsulate LIST] [--verify-checksums]

Format, link types, times, packets, classes, protocols, ports, sources with the evidence for their tools, tools, UDP
probes, what would not be counted and why, and the dark prefixes that the capture is likely of. CAPTURE is a file, a
directory or - (standard input): pcap, pcapng or snoop, plain or compressed with gzip, zstd or xz.

  --json                 one JSON object: { "captures": [...] }
${DECODE_USAGE}

The first 200 000 sources are counted one by one; where there are more, the output says so. Exit status 3: something
in a capture was unreadable; what came before it is told.`,
  options: { json: { type: 'boolean', default: false }, ...DECODE_OPTIONS },
  async run({ values, positionals }) {
    if (positionals.length === 0) throw new TelescopeError('USAGE', 'inspect: at least one CAPTURE is needed')
    const options = decodeOptions(values, 'inspect')
    const output = new LineOutput()
    const inspections: CaptureInspection[] = []
    for (const path of await listCaptures(positionals)) {
      const inspection = await inspectCapture(path, options)
      inspections.push(inspection)
      if (!values['json']) output.line(inspectionText(inspection))
    }
    if (values['json']) output.line(JSON.stringify({ captures: inspections }, null, 2))
    await output.end()
    return inspections.some(({ error }) => error !== null) ? EXIT_STATUS.input : 0
  },
}

async function inspectCapture(path: string, options: number): Promise<CaptureInspection> {
  const inspector = new CaptureInspector()
  const packet = new Packet()
  packet.decodeOptions = options
  const progress = new Progress(fileBytes(path))
  try {
    const onChunk = (bytesRead: number): void => progress.update(bytesRead, packet.index)
    const result = await readCapture(path, packet, inspected => inspector.add(inspected), { onChunk })
    return inspector.finish(result)
  } finally {
    progress.clear()
  }
}

function fileBytes(path: string): number | null {
  if (path === '-') return null
  const stats = statSync(path, { throwIfNoEntry: false })
  return stats?.isFile() ? stats.size : null
}
