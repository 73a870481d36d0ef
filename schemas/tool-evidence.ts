import { TOOLS, type Tool, type ToolName, toolColumn } from './tool.ts'

/** When k of n packets that fit a tool's rule say that the tool made them. */

/** Probability of as many matches by chance below which a source is labelled; one false label in a million sources. */
const CHANCE_MAX = 1e-6
/** A rule without a known chance per packet is a profile: it needs this share of the packets, and at least two. */
const PROFILE_SHARE_MIN = 0.5
const PROFILE_PACKETS_MIN = 2

/** Whether `matches` of `packets` are too many for chance under the rule of the tool. */
export function isEvidence(tool: { readonly chance: number | null }, matches: number, packets: number): boolean {
  if (matches === 0) return false
  if (tool.chance === null) return matches >= PROFILE_PACKETS_MIN && matches >= packets * PROFILE_SHARE_MIN
  return binomialTail(matches, packets, tool.chance) < CHANCE_MAX
}

/** A tool that `matched` of a source's `packets` say made them. */
export interface ToolEvidence {
  readonly name: ToolName
  readonly matched: number
  readonly packets: number
  /**
   * Probability that chance alone gives as many matches; 0 where it is below what a double holds, null for a profile,
   * whose chance per packet nobody knows.
   */
  readonly chance: number | null
}

/**
 * The tools that have evidence, most matches first.
 * @param matches packets that fit, by position in TOOLS
 */
export function toolEvidence(matches: ArrayLike<number>, packets: number): ToolEvidence[] {
  return TOOLS.map(({ name, chance }: Tool, index) => ({ name: name as ToolName, chance, matched: matches[index]! }))
    .filter(({ chance, matched }) => isEvidence({ chance }, matched, packets))
    .sort((a, b) => b.matched - a.matched)
    .map(({ name, chance, matched }) => ({
      name,
      matched,
      packets,
      chance: chance === null ? null : binomialTail(matched, packets, chance),
    }))
}

/** `mirai 3/3|zmap 5/9`, most matches first; empty without evidence. */
export function toolsText(counts: Readonly<Record<string, unknown>>, packets: number): string {
  const matches = TOOLS.map(({ name }) => Number(counts[toolColumn(name)]))
  return toolEvidence(matches, packets)
    .map(({ name, matched }) => `${name} ${matched}/${packets}`)
    .join('|')
}

/** Probability of k or more of n when each has probability p, 0 < p < 1; 1 where k is no more than expected. */
export function binomialTail(k: number, n: number, p: number): number {
  if (k > n) return 0
  if (k <= n * p) return 1
  // From the first term on each is smaller than the one before by a ratio that falls: few of them matter.
  let term = Math.exp(
    logGamma(n + 1) - logGamma(k + 1) - logGamma(n - k + 1) + k * Math.log(p) + (n - k) * Math.log1p(-p),
  )
  let tail = 0
  for (let i = k; i <= n && term > tail * 1e-15; i++) {
    tail += term
    term *= (((n - i) / (i + 1)) * p) / (1 - p)
  }
  return Math.min(1, tail)
}

/** Stirling's series (Abramowitz and Stegun 6.1.41); small arguments are shifted up to where it is exact. */
function logGamma(x: number): number {
  let shift = 0
  let y = x
  for (; y < 10; y++) shift += Math.log(y)
  const inverse = 1 / y
  const square = inverse * inverse
  const series = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)))
  return (y - 0.5) * Math.log(y) - y + 0.5 * Math.log(2 * Math.PI) + series - shift
}
