import { TelescopeError } from '../schemas/errors.ts'
import { CLASS_BACKSCATTER, CLASS_SCAN, PROTOCOL, TRAFFIC_CLASSES } from '../schemas/protocol.ts'
import { INTERVAL_SECONDS, MICROSECONDS, SLOT_SECONDS } from '../schemas/time.ts'
import { UDP_PROBE_NAMES } from '../schemas/udp-probe.ts'
import type { ReceivedRows } from './received-rows.ts'

const INTERVAL_MICROSECONDS = INTERVAL_SECONDS * MICROSECONDS
const SLOT_LAST = INTERVAL_SECONDS / SLOT_SECONDS - 1

/** What the rows of a batch come to. */
export class FlowTotals {
  flows = 0
  packets = 0
  /** Start of the earliest and the latest interval, Unix microseconds. */
  firstInterval = Number.POSITIVE_INFINITY
  lastInterval = Number.NEGATIVE_INFINITY
}

/**
 * Holds rows from outside against what FLOW says of its columns, and adds them up.
 * @throws BATCH_INVALID for the first row that no collector could have written
 */
export function checkFlows(rows: ReceivedRows, rowCount: number, totals: FlowTotals): void {
  for (let at = 0; at < rowCount; at++) {
    const interval = rows.intervalStart[at * 2]! + rows.intervalStart[at * 2 + 1]! * 2 ** 32
    const wrong = wrongTime(rows, at, interval) ?? wrongKey(rows, at) ?? wrongMeasure(rows, at)
    if (wrong !== null) {
      throw new TelescopeError('BATCH_INVALID', `batch: flow ${totals.flows + at + 1}: ${wrong}`, {
        flow: totals.flows + at + 1,
      })
    }
    totals.packets += rows.packetCount[at]!
    if (interval < totals.firstInterval) totals.firstInterval = interval
    if (interval > totals.lastInterval) totals.lastInterval = interval
  }
  totals.flows += rowCount
}

function wrongTime(rows: ReceivedRows, at: number, interval: number): string | null {
  if (interval > Number.MAX_SAFE_INTEGER || interval % INTERVAL_MICROSECONDS !== 0) {
    return `interval_start is not on a boundary of ${INTERVAL_SECONDS} s`
  }
  if (rows.firstSecond[at]! + rows.durationSeconds[at]! >= INTERVAL_SECONDS) {
    return 'first_second and duration_seconds reach beyond the interval'
  }
  if (rows.slot[at]! > SLOT_LAST) return `slot is above ${SLOT_LAST}`
  return null
}

/** Columns that must be empty for what the row is. */
function wrongKey(rows: ReceivedRows, at: number): string | null {
  const low = at * 2
  const high = low + 1
  const version = rows.ipVersion[at]!
  const trafficClass = rows.trafficClass[at]!
  const protocol = rows.protocol[at]!
  if (version !== 4 && version !== 6) return `ip_version is ${version}`
  if (
    version === 4 &&
    ((rows.srcHigh[low]! | rows.srcHigh[high]! | rows.dstIndex[high]!) !== 0 || rows.srcLow[high] !== 0xffff)
  ) {
    return 'an IPv4 source is not IPv4-mapped, or its dst_index is too large'
  }
  if (trafficClass >= TRAFFIC_CLASSES.length) return `class is ${trafficClass}`
  if (rows.tcpFlags[at]! > (protocol === PROTOCOL.tcp ? 0xfff : 0)) return 'tcp_flags do not fit the protocol'
  const isScan = trafficClass === CLASS_SCAN
  const isBackscatter = trafficClass === CLASS_BACKSCATTER
  const isTcp = protocol === PROTOCOL.tcp
  const isIcmp = protocol === PROTOCOL.icmp || protocol === PROTOCOL.icmpv6
  if (!(isScan && isTcp) && (rows.synProfile[low]! | rows.synProfile[high]!) !== 0) {
    return 'syn_profile of what is no scan SYN'
  }
  if (!isBackscatter && (rows.peerPort[at]! | rows.slot[at]!) !== 0) return 'peer_port or slot without backscatter'
  if (rows.udpProbe[at]! >= (protocol === PROTOCOL.udp ? UDP_PROBE_NAMES.length : 1)) {
    return 'udp_probe is none that is known, or the protocol is not UDP'
  }
  if (!isScan && rows.srcPortSample[at] !== 0) return 'src_port_sample of what is no scan'
  const victim = rows.victimLow[low]! | rows.victimLow[high]! | rows.victimHigh[low]! | rows.victimHigh[high]!
  if (!(isBackscatter && isIcmp) && victim !== 0) return 'victim_addr of what is no ICMP error'
  return null
}

function wrongMeasure(rows: ReceivedRows, at: number): string | null {
  const packets = rows.packetCount[at]!
  if (packets === 0) return 'packet_count is 0'
  if (packets === 1 && rows.durationSeconds[at] !== 0) return 'one packet with a duration'
  for (const counts of rows.signCounts) {
    if (counts[at]! > packets) return 'a count of signs is above packet_count'
  }
  return null
}
