import { statSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { TelescopeError } from '../schemas/errors.ts'
import { inspectCaptures } from './inspect-captures.ts'
import type { LikelyPrefix } from './likely-prefixes.ts'
import { listCaptures } from './list-captures.ts'
import { isLiveInput } from './open-byte-source.ts'
import { type PageStyle, paint } from './page-style.ts'
import { prefixLines } from './prefix-text.ts'
import { commandLine } from './shell-quote.ts'
import { wrap } from './text-table.ts'

/** Prefixes that are shown without being proposed, so that one sees what was left out. */
const OTHERS_SHOWN = 5

interface ProposalRequest {
  /** Files or directories. */
  readonly captures: readonly string[]
  /** DECAPSULATE_ and VERIFY_ bits of decode-options.ts. */
  readonly decodeOptions: number
  /** True when the proposal is taken without asking. */
  readonly isAccepted: boolean
  /** The same command with the prefixes named, as its words. */
  readonly wordsWith: (telescope: string) => readonly string[]
  readonly style: PageStyle
}

/**
 * Reads captures, shows on standard error which dark prefixes they are likely of, and asks whether to use them.
 * @returns the prefixes, separated by commas
 * @throws USAGE when the answer is no, when there is nobody to ask, or when a capture can be read only once;
 *   TELESCOPE_UNKNOWN when no prefix is likely; CAPTURE_NOT_FOUND, CAPTURE_UNREADABLE
 */
export async function proposeTelescope(request: ProposalRequest): Promise<string> {
  const { decodeOptions, isAccepted, wordsWith, style } = request
  const paths = await readableTwice(request.captures)
  const { total, likelyPrefixes } = await inspectCaptures(paths, { decodeOptions })
  const proposed = likelyPrefixes.filter(prefix => prefix.proposed)
  if (proposed.length === 0) {
    throw new TelescopeError(
      'TELESCOPE_UNKNOWN',
      'telescope auto: no destination in the captures looks like a dark address; name the prefixes with --telescope CIDR,...',
    )
  }
  const shown = likelyPrefixes.slice(0, proposed.length + OTHERS_SHOWN)
  say(proposalLines(shown, total.packets_kept, style))
  const telescope = proposed.map(({ prefix }) => prefix).join(',')
  if (isAccepted) return telescope
  if (process.stdin.isTTY && process.stderr.isTTY) {
    if (await confirm('Use these prefixes? [y/N] ')) return telescope
    throw new TelescopeError('USAGE', 'collect: nothing was collected; name the prefixes with --telescope CIDR,...')
  }
  say(['To collect with the prefixes marked *:', '', `  ${commandLine(wordsWith(telescope))}`, ''])
  throw new TelescopeError(
    'USAGE',
    'collect: --telescope auto has no terminal to ask on; start the command above, or add --yes',
  )
}

async function readableTwice(captures: readonly string[]): Promise<string[]> {
  // What is passed over is told when the captures are collected.
  const paths = await listCaptures(captures, () => {})
  const pipe = paths.find(path => isLiveInput(path) || !statSync(path).isFile())
  if (pipe === undefined) return paths
  const name = pipe === '-' ? 'standard input' : pipe
  throw new TelescopeError(
    'USAGE',
    `collect: --telescope auto reads the captures twice, and ${name} can be read only once; write it to a file first, or name the prefixes`,
  )
}

function proposalLines(shown: readonly LikelyPrefix[], packetsKept: number, style: PageStyle): string[] {
  const isCertain = shown.every(({ proposed, confidence }) => !proposed || confidence === 'high')
  const advice = isCertain
    ? 'Marked *: nearly every address was seen, by many sources, and none of them sends.'
    : 'Marked *: what would be used. It is a guess: an address that nobody sent to looks like one that is not there. If you know the prefixes, name them with --telescope CIDR,...'
  return [
    paint(style, 'title', 'Likely dark prefixes'),
    ...prefixLines(shown, packetsKept, style.width - 2, style).map(line => `  ${line}`),
    ...wrap(advice, style.width - 2).map(line => `  ${line}`),
  ]
}

function say(lines: readonly string[]): void {
  process.stderr.write(`${lines.join('\n')}\n`)
}

/** @returns false also when the terminal is closed without an answer */
async function confirm(question: string): Promise<boolean> {
  process.stderr.write(question)
  const lines = createInterface({ input: process.stdin })
  for await (const answer of lines) {
    lines.close()
    return /^\s*y(es)?\s*$/i.test(answer)
  }
  process.stderr.write('\n')
  return false
}
