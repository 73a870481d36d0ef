import { TOOLS } from '../schemas/tool.ts'
import { type ToolEvidence, toolEvidence } from '../schemas/tool-evidence.ts'
import { AddressTally } from './address-tally.ts'
import type { Packet } from './packet.ts'

/** Tools that a packet can match; the matches of a source lie side by side. */
const TOOL_COUNT = TOOLS.length

/**
 * Packets and tool matches by source in bounded memory: 8 bytes a source and tool beside the address tally, once a
 * packet matched. Sources that found no room have no evidence; for the others k and n are exact.
 */
export class SourceEvidence {
  readonly addresses: AddressTally
  private matches = new Float64Array(0)

  constructor(sourcesMax: number) {
    this.addresses = new AddressTally(sourcesMax)
  }

  /** @param tools bits by position in TOOLS */
  add(packet: Packet, tools: number): void {
    const row = this.addresses.add(packet.src0, packet.src1, packet.src2, packet.src3)
    if (tools === 0 || row < 0) return
    if ((row + 1) * TOOL_COUNT > this.matches.length) this.grow()
    const start = row * TOOL_COUNT
    for (let tool = 0; tool < TOOL_COUNT; tool++) if ((tools & (1 << tool)) !== 0) this.matches[start + tool]!++
  }

  merge(other: SourceEvidence): void {
    this.addresses.merge(other.addresses, (row, from) => {
      const matches = other.matchesOf(from)
      if (matches.length > 0 && (row + 1) * TOOL_COUNT > this.matches.length) this.grow()
      for (let tool = 0; tool < matches.length; tool++) this.matches[row * TOOL_COUNT + tool]! += matches[tool]!
    })
  }

  /** The tools that made the packets of a row, as far as they cannot be chance, most matches first. */
  tools(row: number): ToolEvidence[] {
    const matches = this.matchesOf(row)
    return matches.length === 0 ? [] : toolEvidence(matches, this.addresses.packets[row]!)
  }

  /** By position in TOOLS; empty when no packet of this row, and of none that has a later one, matched. */
  private matchesOf(row: number): Float64Array {
    return this.matches.subarray(row * TOOL_COUNT, (row + 1) * TOOL_COUNT)
  }

  private grow(): void {
    // The address tally has the room that this one needs.
    const matches = new Float64Array(this.addresses.packets.length * TOOL_COUNT)
    matches.set(this.matches)
    this.matches = matches
  }
}
