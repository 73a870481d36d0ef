import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { CaptureInspector } from '../../collector/capture-inspection.ts'
import { Packet } from '../../collector/packet.ts'
import { packetCsv } from '../../collector/packet-line.ts'
import { readCapture } from '../../collector/read-capture.ts'
import { formatIpv4 } from '../../schemas/address.ts'
import { ROOT } from '../support/external.ts'

// Goal: what real scanners sent is told as it was; any change of decoding, classes or tool rules shows in a diff.
// Method: each file of fixtures/captures against fixtures/golden/<file>.json. `npm run golden` writes them anew; CI
// never does, and a file without its golden fails. fixtures/captures/README.md says what was sent.

const CAPTURES = `${ROOT}fixtures/captures/`
const GOLDEN = `${ROOT}fixtures/golden/`
const LINES = 3
const isUpdate = process.env['GOLDEN_UPDATE'] === '1' && !process.env['CI']

const names = readdirSync(CAPTURES).filter(name => /\.(pcap|pcapng)(\.gz)?$/.test(name))

async function summarise(name: string) {
  const inspector = new CaptureInspector()
  const lines: string[] = []
  /** Victims named by ICMP errors. */
  const quoted: Record<string, number> = {}
  const result = await readCapture(CAPTURES + name, new Packet(), packet => {
    inspector.add(packet)
    if (packet.quotedVersion === 4) {
      const victim = formatIpv4(packet.quotedDst3)
      quoted[victim] = (quoted[victim] ?? 0) + 1
    }
    if (lines.length < LINES) lines.push(packetCsv(packet))
  })
  const { path, first_packet, last_packet, duration_seconds, packets_per_second, packets_over_time, ...stable } =
    inspector.finish(result)
  return { ...stable, quoted, first_lines: lines }
}

describe('captures of real scanners', () => {
  test('there are some', () => {
    expect(names.length).toBeGreaterThan(20)
  })

  test.each(names)('%s', async name => {
    const actual = await summarise(name)
    const golden = `${GOLDEN}${name}.json`
    if (isUpdate) {
      mkdirSync(GOLDEN, { recursive: true })
      writeFileSync(golden, `${JSON.stringify(actual, null, 2)}\n`)
    }
    expect(existsSync(golden), `${golden} is missing; npm run golden writes it`).toBe(true)
    expect(actual).toEqual(JSON.parse(readFileSync(golden, 'utf8')))
  })

  test('every golden file has its capture', () => {
    const goldens = readdirSync(GOLDEN).map(name => name.replace(/\.json$/, ''))
    expect(goldens.filter(name => !names.includes(name))).toEqual([])
  })
})
