import { type Prefix, parsePrefix } from '../schemas/address.ts'
import { TelescopeError } from '../schemas/errors.ts'

/** Which economy holds an address, by disjoint ranges in order. */
interface PrefixTable {
  /** Binary search; undefined when no prefix holds the address. */
  find(address: bigint): string | undefined
}

interface Entry {
  readonly prefix: Prefix
  readonly economy: string
}

/**
 * Reads `prefix,economy` lines under that header. Where prefixes lie within each other the longest one decides, as in
 * routing.
 * @throws GEOGRAPHY_INVALID with the line
 */
export function parsePrefixTable(path: string, text: string): PrefixTable {
  const lines = text.split(/\r?\n/)
  if (lines[0]?.replace(/^\ufeff/, '').trim() !== 'prefix,economy') {
    throw invalid(path, 1, `header is "${lines[0]?.slice(0, 60)}", expected "prefix,economy"`)
  }
  const entries: Entry[] = []
  lines.forEach((line, index) => {
    if (index === 0 || line.trim() === '') return
    const [prefix, economy, ...rest] = line.split(',').map(cell => cell.trim())
    if (!economy || rest.length > 0 || !/^[A-Z]{2}$/.test(economy)) {
      throw invalid(path, index + 1, `"${line.slice(0, 60)}" is not a prefix and two capital letters`)
    }
    try {
      entries.push({ prefix: parsePrefix(prefix!), economy })
    } catch (error) {
      throw invalid(path, index + 1, error instanceof Error ? error.message : String(error))
    }
  })
  return createTable(entries)
}

function createTable(entries: readonly Entry[]): PrefixTable {
  const { starts, economies } = flatten(entries)
  return {
    find(address) {
      let low = 0
      let high = starts.length
      while (low < high) {
        const middle = (low + high) >>> 1
        if (starts[middle]! <= address) low = middle + 1
        else high = middle
      }
      return economies[low - 1]
    },
  }
}

/**
 * Nested prefixes as a list of starts, each with the economy that holds from there to the next; undefined where none
 * does. Prefixes are nested or disjoint, so those that hold the present address form a stack.
 */
function flatten(entries: readonly Entry[]): { starts: bigint[]; economies: (string | undefined)[] } {
  const starts: bigint[] = []
  const economies: (string | undefined)[] = []
  const open: Entry[] = []
  const mark = (start: bigint, economy: string | undefined) => {
    // A later mark at one place is that of the longer prefix.
    if (starts.at(-1) === start) economies[economies.length - 1] = economy
    else {
      starts.push(start)
      economies.push(economy)
    }
  }
  const closeBefore = (address: bigint | null) => {
    while (open.length > 0 && (address === null || open.at(-1)!.prefix.last < address)) {
      const closed = open.pop()!
      mark(closed.prefix.last + 1n, open.at(-1)?.economy)
    }
  }
  const sorted = [...entries].sort((a, b) =>
    a.prefix.first < b.prefix.first ? -1 : a.prefix.first > b.prefix.first ? 1 : a.prefix.length - b.prefix.length,
  )
  for (const entry of sorted) {
    closeBefore(entry.prefix.first)
    mark(entry.prefix.first, entry.economy)
    open.push(entry)
  }
  closeBefore(null)
  return { starts, economies }
}

function invalid(path: string, line: number, message: string): TelescopeError {
  return new TelescopeError('GEOGRAPHY_INVALID', `geography ${path}, line ${line}: ${message}`, { path, line })
}
