import { ECONOMY_UNKNOWN } from '../../schemas/catalog.ts'
import { DAY_SECONDS } from '../../schemas/time.ts'
import type { TimeRange } from './range.ts'
import { STRINGS } from './strings.ts'

/** Numbers and times as the page writes them. English; times are UTC. */

const LOCALE = 'en'
const count = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 })
const compact = new Intl.NumberFormat(LOCALE, { notation: 'compact', maximumSignificantDigits: 3 })
const rates = [0, 1, 2, 3].map(
  digits => new Intl.NumberFormat(LOCALE, { minimumFractionDigits: digits, maximumFractionDigits: digits }),
)
const small = new Intl.NumberFormat(LOCALE, { maximumSignificantDigits: 2 })
const date = new Intl.DateTimeFormat('en-GB', {
  timeZone: 'UTC',
  weekday: 'short',
  day: 'numeric',
  month: 'short',
  year: 'numeric',
})
const shortDate = new Intl.DateTimeFormat('en-GB', { timeZone: 'UTC', day: 'numeric', month: 'short' })
const regions = new Intl.DisplayNames([LOCALE], { type: 'region', fallback: 'code' })

export function formatCount(value: number): string {
  return count.format(value)
}

/** For axes: 12K, 3.4M. */
export function formatCompact(value: number): string {
  return Math.abs(value) < 1 && value !== 0 ? small.format(value) : compact.format(value)
}

/** Three significant digits below a thousand, whole numbers above; a dash where there is no rate. */
export function formatRate(value: number | null): string {
  if (value === null) return STRINGS.none
  if (value === 0) return '0'
  const size = Math.abs(value)
  if (size < 0.1) return small.format(value)
  return rates[size >= 100 ? 0 : size >= 10 ? 1 : 2]!.format(value)
}

/** A part of one as percent with one decimal; what is there but rounds to nothing is `<0.1 %`, never 0. */
export function formatShare(value: number): string {
  if (value > 0 && value < 0.0005) return '<0.1 %'
  if (value < 1 && value > 0.9995) return '>99.9 %'
  return `${(value * 100).toFixed(value === 0 || value === 1 ? 0 : 1)} %`
}

/** `3.4 MB`, in powers of a thousand. */
export function formatBytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let size = value
  let unit = 0
  // What would be written as 1000 of a unit is one of the next.
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000
    unit++
  }
  return `${unit === 0 ? count.format(size) : formatRate(size)} ${units[unit]}`
}

/** How many times more, as a word: `×4.2`. */
export function formatFactor(value: number): string {
  return `×${value >= 100 ? formatCount(value) : value.toFixed(1)}`
}

export function formatDate(seconds: number): string {
  return date.format(seconds * 1000).replace(',', '')
}

export function formatShortDate(seconds: number): string {
  return shortDate.format(seconds * 1000)
}

/** `10:00` */
export function formatClock(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(11, 16)
}

/** `Sun 22 Nov 2026 10:00`; the clock is left out at the start of a day when only days matter. */
export function formatMoment(seconds: number, bucketSeconds: number): string {
  return bucketSeconds >= DAY_SECONDS ? formatDate(seconds) : `${formatDate(seconds)} ${formatClock(seconds)}`
}

/** A range with its last day written as people say it: 15 to 21 November, for [15, 22). */
export function formatRange({ since, until }: TimeRange): string {
  const onDays = since % DAY_SECONDS === 0 && until % DAY_SECONDS === 0
  if (!onDays) return `${formatMoment(since, 1)} – ${formatMoment(until, 1)}`
  const last = until - DAY_SECONDS
  return last === since ? formatDate(since) : `${formatDate(since)} – ${formatDate(last)}`
}

/** Name of an economy; the code itself where none is known. */
export function economyName(code: string): string {
  if (code === ECONOMY_UNKNOWN) return STRINGS.economyUnknown
  try {
    return regions.of(code) ?? code
  } catch {
    return code
  }
}

/** Reads a code or a name of an economy, in any case; null when it is neither. */
export function findEconomy(text: string): string | null {
  const wanted = text.trim().toLowerCase()
  if (wanted === '') return null
  const letters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ']
  const codes = letters.flatMap(first => letters.map(second => first + second))
  const isNamed = (code: string): boolean => economyName(code) !== code
  return (
    codes.find(code => code.toLowerCase() === wanted && isNamed(code)) ??
    // Of two codes with one name the first is the one in use (`DE`, not the `DD` of old).
    codes.filter(code => isNamed(code)).find(code => economyName(code).toLowerCase() === wanted) ??
    null
  )
}

type RankChange = { readonly kind: 'up' | 'down'; readonly places: number } | { readonly kind: 'same' | 'new' }

/** How a rank moved; `new` when it had none in the previous period. */
export function rankChange(rank: number, previous: number | null): RankChange {
  if (previous === null) return { kind: 'new' }
  if (previous === rank) return { kind: 'same' }
  return previous > rank ? { kind: 'up', places: previous - rank } : { kind: 'down', places: rank - previous }
}
