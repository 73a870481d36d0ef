import { TOOLS } from '../schemas/tool.ts'
import { type ToolEvidence, toolEvidence } from '../schemas/tool-evidence.ts'
import { BoundedTally } from './bounded-tally.ts'

/** Tools that a packet can match; the matches of a source lie side by side. */
const TOOL_COUNT = TOOLS.length
/** Sources that there is room for at first; the room doubles when it is full. */
const SOURCES_START = 1024

interface SourceCount<Key> {
  readonly key: Key
  readonly packets: number
  readonly tools: readonly ToolEvidence[]
}

/**
 * Packets and tool matches by source in bounded memory: 4 bytes a source and tool beside the tally. Sources that found
 * no room have no evidence; for the others k and n are exact.
 */
export class SourceEvidence<Key> {
  private readonly sources: BoundedTally<Key>
  private matches = new Uint32Array(SOURCES_START * TOOL_COUNT)

  constructor(sourcesMax: number) {
    this.sources = new BoundedTally(sourcesMax)
  }

  /** @param tools bits by position in TOOLS */
  add(key: Key, tools: number): void {
    const place = this.sources.add(key)
    if (tools === 0 || place < 0) return
    const start = place * TOOL_COUNT
    while (start + TOOL_COUNT > this.matches.length) this.grow()
    for (let tool = 0; tool < TOOL_COUNT; tool++) if ((tools & (1 << tool)) !== 0) this.matches[start + tool]!++
  }

  private grow(): void {
    const matches = new Uint32Array(this.matches.length * 2)
    matches.set(this.matches)
    this.matches = matches
  }

  get sourceCount(): number {
    return this.sources.keyCount
  }

  get isCapped(): boolean {
    return this.sources.isCapped
  }

  /** The sources with most packets. */
  top(limit: number): SourceCount<Key>[] {
    return this.sources.top(limit).map(({ key, count, place }) => {
      const start = place * TOOL_COUNT
      const matches =
        start < this.matches.length ? this.matches.subarray(start, start + TOOL_COUNT) : new Uint32Array(TOOL_COUNT)
      return { key, packets: count, tools: toolEvidence(matches, count) }
    })
  }
}
