import { backscatterSlot, classify, peerPort, servicePort } from '../../collector/classify.ts'
import type { Packet } from '../../collector/packet.ts'
import { spoofBits } from '../../collector/spoof.ts'
import { synProfileHigh, synProfileLow } from '../../collector/syn-profile.ts'
import { matchTools } from '../../collector/tools.ts'
import { CLASS_BACKSCATTER, CLASS_SCAN } from '../../schemas/protocol.ts'
import { SPOOF_BITS, TOOLS, toolColumn } from '../../schemas/tool.ts'
import type { FlowRow } from './read-batch.ts'

/**
 * One row for one packet, by the words of FLOW and without any table: what the flow table must add up to. The rules
 * for a single packet (class, tools, signs) have tests of their own.
 */
export function packetRow(packet: Packet, dstIndex: bigint): FlowRow {
  const trafficClass = classify(packet)
  const second = packet.seconds % 60
  const isScanSyn = trafficClass === CLASS_SCAN && packet.protocol === 6
  const hasVictim = trafficClass === CLASS_BACKSCATTER && packet.quotedVersion !== 0
  const pair = (high: number, low: number): bigint => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
  const bit = (bits: number, index: number): bigint => BigInt((bits >>> index) & 1)
  const tools = matchTools(packet)
  const spoof = spoofBits(packet)
  return {
    interval_start: BigInt(packet.seconds - second) * 1_000_000n,
    ip_version: BigInt(packet.ipVersion),
    src_addr_high: pair(packet.src0, packet.src1),
    src_addr_low: pair(packet.src2, packet.src3),
    dst_index: dstIndex,
    protocol: BigInt(packet.protocol),
    service_port: BigInt(servicePort(packet, trafficClass)),
    class: BigInt(trafficClass),
    tcp_flags: BigInt(Math.max(packet.tcpFlags, 0)),
    ttl: BigInt(packet.ttl),
    syn_profile: isScanSyn ? pair(synProfileHigh(packet), synProfileLow(packet)) : 0n,
    victim_addr_high: hasVictim ? pair(packet.quotedDst0, packet.quotedDst1) : 0n,
    victim_addr_low: hasVictim ? pair(packet.quotedDst2, packet.quotedDst3) : 0n,
    peer_port: BigInt(peerPort(packet, trafficClass)),
    slot: BigInt(backscatterSlot(second, trafficClass)),
    udp_probe: BigInt(packet.udpProbe),
    packet_count: 1n,
    byte_count: BigInt(packet.ipLength),
    first_second: BigInt(second),
    duration_seconds: 0n,
    ...Object.fromEntries(TOOLS.map((tool, index) => [toolColumn(tool.name), bit(tools, index)])),
    ...Object.fromEntries(SPOOF_BITS.map(({ name }, index) => [`spoof_${name}_count`, bit(spoof, index)])),
    fragment_count: BigInt(packet.isFragment),
  }
}
