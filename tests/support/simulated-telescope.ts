import { CaptureMaker } from '../../fixtures/simulator/capture-maker.ts'
import { planSensor } from '../../fixtures/simulator/day-plan.ts'
import { OutputFolder } from '../../fixtures/simulator/output-folder.ts'
import { PcapWriter } from '../../fixtures/simulator/pcap-writer.ts'
import { createSources } from '../../fixtures/simulator/sources.ts'
import { createTimetable, expectedPackets } from '../../fixtures/simulator/stream.ts'
import { Tally } from '../../fixtures/simulator/tally.ts'

/** 2026-11-22, a UTC midnight. */
const START = 1_795_305_600

/**
 * A day of realistic traffic to a telescope of any size, as the simulator makes it.
 * @param prefixes one of IPv4 (/16 at most), then at most one /64
 * @param packets about how many
 * @returns path of the capture below the folder
 */
export function simulateTelescope(folder: string, prefixes: readonly string[], packets: number, seed = 1): string {
  const planned = planSensor({ id: 'x', name: 'x', economy: 'JP', prefixes })
  const timetable = createTimetable(seed, START, 1, false)
  const sources = createSources(seed)
  const tally = new Tally(timetable, sources, [false])
  const expected = timetable.streams.reduce(
    (sum, stream) => sum + expectedPackets(timetable, stream, planned.sensor, planned.ipv4Addresses, 0),
    0,
  )
  const output = new OutputFolder(folder)
  output.prepare(['x'])
  tally.enterDay(0)
  const maker = new CaptureMaker(timetable, sources, tally, new PcapWriter())
  const { path } = maker.make(planned, 0, 0, packets / expected, output)
  return output.capturePath(path)
}
