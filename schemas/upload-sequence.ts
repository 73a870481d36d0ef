import { TelescopeError } from './errors.ts'
import { GAP_REASONS, type GapReason } from './sequence-gap.ts'

/**
 * How a sensor numbers its uploads, so that the hub sees what never came. Two request headers, structured fields of
 * RFC 8941; parameters that a later version adds are ignored:
 *
 *   Hirundo-Sequence: 17;spool="0f3a9c21";oldest=15
 *   Hirundo-Gone: 3;last=7;reason=evicted, 9;reason=refused
 *
 * A spool numbers from 1, without leaving any out, and its name is made with it: a new spool begins anew. `oldest` is
 * the lowest number that the sensor still holds: what is below and never came, never will.
 */
export interface UploadSequence {
  readonly number: number
  /** Eight hexadecimal digits. */
  readonly spool: string
  /** Null when the sensor does not say. */
  readonly oldest: number | null
  readonly gone: readonly GoneNumbers[]
}

/** Numbers first to last, both included, that the sensor will never send. */
export interface GoneNumbers {
  readonly first: number
  readonly last: number
  readonly reason: Exclude<GapReason, 'unknown'>
}

/** The largest integer of RFC 8941 (15 digits). */
const NUMBER_MAX = 999_999_999_999_999
/** Ranges in one request; more come with the next. */
export const GONE_MAX = 32
const SPOOL = /^[0-9a-f]{8}$/
const GONE_REASONS = GAP_REASONS.filter(reason => reason !== 'unknown')
/** An item with its parameters; none of ours holds a comma or semicolon in quotes. */
const ITEM =
  /^(\d{1,15})((?:;[ ]*[a-z*][a-z0-9_.*-]*(?:=(?:-?\d{1,15}|"[ !#-+\--:<-[\]-~]*"|[A-Za-z*][\w.~:/*-]*|\?[01]))?)*)$/
const PARAMETER = /;[ ]*([a-z*][a-z0-9_.*-]*)(?:=([^;]*))?/g

/** The two headers, lower-case names; the second only when something is gone. */
export function formatSequence({ number, spool, oldest, gone }: UploadSequence): Record<string, string> {
  const members = gone.slice(0, GONE_MAX).map(({ first, last, reason }) => {
    const end = last === first ? '' : `;last=${last}`
    return `${first}${end};reason=${reason}`
  })
  return {
    'hirundo-sequence': `${number};spool="${spool}"${oldest === null ? '' : `;oldest=${oldest}`}`,
    ...(members.length === 0 ? {} : { 'hirundo-gone': members.join(', ') }),
  }
}

/**
 * Reads the two headers.
 * @returns null when the sensor does not number its uploads
 * @throws QUERY_INVALID
 */
export function parseSequence(sequence: string | undefined, gone: string | undefined): UploadSequence | null {
  if (sequence === undefined) {
    if (gone === undefined) return null
    throw invalid('Hirundo-Gone', gone, 'comes with Hirundo-Sequence only')
  }
  const { number, parameters } = parseItem('Hirundo-Sequence', sequence)
  const spool = /^"(.*)"$/.exec(parameters.get('spool') ?? '')?.[1] ?? ''
  if (number < 1 || !SPOOL.test(spool)) throw invalid('Hirundo-Sequence', sequence, 'is not like 17;spool="0f3a9c21"')
  const oldest = numberOf('Hirundo-Sequence', sequence, parameters.get('oldest'))
  if (oldest !== null && oldest > number) throw invalid('Hirundo-Sequence', sequence, 'has an oldest above its number')
  return { number, spool, oldest, gone: gone === undefined ? [] : parseGone(gone) }
}

function parseGone(text: string): GoneNumbers[] {
  const members = text.split(',')
  if (members.length > GONE_MAX) throw invalid('Hirundo-Gone', text, `has more than ${GONE_MAX} ranges`)
  return members.map(member => {
    const { number: first, parameters } = parseItem('Hirundo-Gone', member.trim())
    const last = numberOf('Hirundo-Gone', text, parameters.get('last')) ?? first
    const reason = GONE_REASONS.find(name => name === parameters.get('reason'))
    if (first < 1 || last < first || reason === undefined) {
      throw invalid('Hirundo-Gone', text, `is not like 3;last=7;reason=${GONE_REASONS.join('|')}`)
    }
    return { first, last, reason }
  })
}

function parseItem(header: string, text: string): { number: number; parameters: ReadonlyMap<string, string> } {
  const match = ITEM.exec(text)
  if (match === null) throw invalid(header, text, 'is no integer with parameters (RFC 8941)')
  const parameters = new Map([...match[2]!.matchAll(PARAMETER)].map(([, name, value]) => [name!, value ?? '?1']))
  return { number: Number(match[1]), parameters }
}

function numberOf(header: string, text: string, value: string | undefined): number | null {
  if (value === undefined) return null
  const number = /^\d{1,15}$/.test(value) ? Number(value) : 0
  if (number >= 1 && number <= NUMBER_MAX) return number
  throw invalid(header, text, `holds "${value.slice(0, 20)}" where a number from 1 is expected`)
}

function invalid(header: string, text: string, what: string): TelescopeError {
  const shown = text.slice(0, 80).replace(/[^\x20-\x7e]/g, '?')
  return new TelescopeError('QUERY_INVALID', `header ${header} "${shown}" ${what}`, { parameter: header })
}
