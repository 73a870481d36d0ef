/**
 * Dictionaries of RFC 8941 as far as signatures and digests need them: items and inner lists of strings, tokens,
 * integers, byte sequences and booleans, with parameters. Stricter than the RFC: a repeated key, and any text that
 * is not the one serialisation of what it says, is refused, so that no two texts mean the same.
 */

export type BareItem =
  | { readonly kind: 'string' | 'token'; readonly value: string }
  | { readonly kind: 'integer'; readonly value: number }
  | { readonly kind: 'bytes'; readonly value: Uint8Array }
  | { readonly kind: 'boolean'; readonly value: boolean }

export type Parameters = ReadonlyMap<string, BareItem>

export interface Item {
  readonly value: BareItem
  readonly parameters: Parameters
}

/** A member of a dictionary: an item, or a list of items with parameters of its own. */
type Member = Item | { readonly items: readonly Item[]; readonly parameters: Parameters }

const KEY = /^[a-z*][a-z0-9_\-.*]*/
const STRING = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"/
const TOKEN = /^[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*/
const INTEGER = /^-?\d{1,15}/
const BYTES = /^:([A-Za-z0-9+/]*={0,2}):/

/** @returns the members by their keys; null when the text is not exactly one dictionary in its plain form */
export function parseDictionary(text: string): ReadonlyMap<string, Member> | null {
  const reader = new Reader(text)
  const members = reader.dictionary()
  return members !== null && serializeDictionary(members) === text ? members : null
}

/** The one text of a dictionary. */
function serializeDictionary(members: ReadonlyMap<string, Member>): string {
  return [...members]
    .map(([key, member]) => {
      if ('value' in member && member.value.kind === 'boolean' && member.value.value) {
        return key + serializeParameters(member.parameters)
      }
      return `${key}=${serializeMember(member)}`
    })
    .join(', ')
}

/** The text of a member behind its key and `=`. */
export function serializeMember(member: Member): string {
  if ('items' in member) {
    return `(${member.items.map(serializeItem).join(' ')})${serializeParameters(member.parameters)}`
  }
  return serializeItem(member)
}

export function serializeItem(item: Item): string {
  return serializeBare(item.value) + serializeParameters(item.parameters)
}

function serializeParameters(parameters: Parameters): string {
  return [...parameters]
    .map(([key, value]) => (value.kind === 'boolean' && value.value ? `;${key}` : `;${key}=${serializeBare(value)}`))
    .join('')
}

function serializeBare(item: BareItem): string {
  switch (item.kind) {
    case 'string':
      return `"${item.value.replace(/["\\]/g, '\\$&')}"`
    case 'token':
      return item.value
    case 'integer':
      return String(item.value)
    case 'bytes':
      return `:${encodeBase64(item.value)}:`
    case 'boolean':
      return item.value ? '?1' : '?0'
  }
}

/** Base64 with padding (RFC 4648, section 4). */
export function encodeBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
}

/** @returns null when the text is not the base64 of any bytes; unused bits that are set are refused, too */
function decodeBase64(text: string): Uint8Array | null {
  try {
    const binary = atob(text)
    if (btoa(binary) !== text) return null
    return Uint8Array.from(binary, character => character.charCodeAt(0))
  } catch {
    return null
  }
}

/** Reads from left to right; null means that what was expected is not there, and ends the reading. */
class Reader {
  #rest: string

  constructor(text: string) {
    this.#rest = text
  }

  dictionary(): Map<string, Member> | null {
    const members = new Map<string, Member>()
    for (;;) {
      const key = this.#take(KEY)?.[0]
      if (key === undefined || members.has(key)) return null
      const member = this.#skip('=') ? this.#member() : this.#withParameters({ kind: 'boolean', value: true })
      if (member === null) return null
      members.set(key, member)
      if (this.#rest === '') return members
      if (!this.#skip(', ')) return null
    }
  }

  #member(): Member | null {
    if (!this.#skip('(')) return this.#item()
    const items: Item[] = []
    while (!this.#skip(')')) {
      if (items.length > 0 && !this.#skip(' ')) return null
      const item = this.#item()
      if (item === null) return null
      items.push(item)
    }
    const parameters = this.#parameters()
    return parameters === null ? null : { items, parameters }
  }

  #item(): Item | null {
    const value = this.#bare()
    return value === null ? null : this.#withParameters(value)
  }

  #withParameters(value: BareItem): Item | null {
    const parameters = this.#parameters()
    return parameters === null ? null : { value, parameters }
  }

  #parameters(): Parameters | null {
    const parameters = new Map<string, BareItem>()
    while (this.#skip(';')) {
      const key = this.#take(KEY)?.[0]
      if (key === undefined || parameters.has(key)) return null
      const value: BareItem | null = this.#skip('=') ? this.#bare() : { kind: 'boolean', value: true }
      if (value === null) return null
      parameters.set(key, value)
    }
    return parameters
  }

  #bare(): BareItem | null {
    const text = this.#take(STRING)
    if (text) return { kind: 'string', value: text[1]!.replace(/\\(["\\])/g, '$1') }
    const bytes = this.#take(BYTES)
    if (bytes) {
      const value = decodeBase64(bytes[1]!)
      return value === null ? null : { kind: 'bytes', value }
    }
    const integer = this.#take(INTEGER)
    if (integer) return { kind: 'integer', value: Number(integer[0]) }
    if (this.#skip('?1')) return { kind: 'boolean', value: true }
    if (this.#skip('?0')) return { kind: 'boolean', value: false }
    const token = this.#take(TOKEN)
    return token ? { kind: 'token', value: token[0] } : null
  }

  #take(pattern: RegExp): RegExpExecArray | null {
    const match = pattern.exec(this.#rest)
    if (match) this.#rest = this.#rest.slice(match[0].length)
    return match
  }

  #skip(text: string): boolean {
    if (!this.#rest.startsWith(text)) return false
    this.#rest = this.#rest.slice(text.length)
    return true
  }
}
