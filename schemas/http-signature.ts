import {
  type BareItem,
  encodeBase64,
  type Item,
  type Parameters,
  parseDictionary,
  serializeItem,
  serializeMember,
} from './structured-field.ts'

/**
 * Signed requests of sensors: HTTP Message Signatures (RFC 9421) with Ed25519 under one label, with one rule for what
 * is covered. Sensor and hub build the same text from here; who makes and checks the signature over it is theirs.
 */

export const SIGNATURE_LABEL = 'hirundo'
const SIGNATURE_ALGORITHM = 'ed25519'
/** A signature that is older, or younger than the hub's clock by more, is refused. */
export const SIGNATURE_AGE_SECONDS_MAX = 300

/** Fields of a request that are covered whenever they are there; the method, host, path and query always are. */
export const COVERED_FIELDS = [
  'date',
  'content-type',
  'content-digest',
  'repr-digest',
  'upload-offset',
  'upload-complete',
  'upload-length',
  'hirundo-sequence',
] as const

/** What a signature speaks about, as both sides see it. */
export interface RequestParts {
  readonly method: string
  /** `hub.example` or `127.0.0.1:8080`, lower case, as in the Host header. */
  readonly authority: string
  /** Path as it is sent, with its escapes. */
  readonly path: string
  /** With its question mark; null when the request has none. */
  readonly query: string | null
  /** By lower-case name. */
  readonly fields: Readonly<Record<string, string | undefined>>
}

export interface SignatureParameters {
  /** Unix seconds. */
  readonly created: number
  readonly keyid: string
  readonly nonce: string
}

/** The list of covered components and the parameters, as the Signature-Input field carries them. */
export interface SignatureInput {
  readonly components: readonly Item[]
  readonly parameters: Parameters
}

const KEY_ID = /^[0-9a-f]{32}$/
const NONCE = /^[A-Za-z0-9_-]{16,64}$/
const SIGNATURE_BYTES = 64

function text(value: string): BareItem {
  return { kind: 'string', value }
}

/** Names of the components that a signature of this request must cover, and no others. */
function coveredComponents(request: RequestParts): string[] {
  return [
    '@method',
    '@authority',
    '@path',
    ...(request.query === null ? [] : ['@query']),
    ...COVERED_FIELDS.filter(name => request.fields[name] !== undefined),
  ]
}

/** What a sensor states about its signature of a request. */
export function signatureInput(request: RequestParts, { created, keyid, nonce }: SignatureParameters): SignatureInput {
  return {
    components: coveredComponents(request).map(name => ({ value: text(name), parameters: new Map() })),
    parameters: new Map<string, BareItem>([
      ['created', { kind: 'integer', value: created }],
      ['keyid', text(keyid)],
      ['nonce', text(nonce)],
      ['alg', text(SIGNATURE_ALGORITHM)],
    ]),
  }
}

/** The two fields of a signed request. */
export function signatureFields(
  input: SignatureInput,
  signature: Uint8Array,
): { 'signature-input': string; signature: string } {
  return {
    'signature-input': `${SIGNATURE_LABEL}=${serializeInput(input)}`,
    signature: `${SIGNATURE_LABEL}=:${encodeBase64(signature)}:`,
  }
}

/** @returns null when the field holds no signature input under the label, or is not written in its plain form */
export function parseSignatureInput(field: string, label: string = SIGNATURE_LABEL): SignatureInput | null {
  const member = parseDictionary(field)?.get(label)
  return member !== undefined && 'items' in member ? { components: member.items, parameters: member.parameters } : null
}

/** @returns null when the field holds no signature of 64 bytes under the label, or is not written in its plain form */
export function parseSignature(field: string): Uint8Array | null {
  const member = parseDictionary(field)?.get(SIGNATURE_LABEL)
  if (member === undefined || !('value' in member) || member.parameters.size > 0) return null
  const { value } = member
  return value.kind === 'bytes' && value.value.length === SIGNATURE_BYTES ? value.value : null
}

/** @returns null when a parameter is missing, unknown or out of its form */
export function readParameters({ parameters }: SignatureInput): SignatureParameters | null {
  const created = parameters.get('created')
  const [keyid, nonce, algorithm] = ['keyid', 'nonce', 'alg'].map(name => parameters.get(name))
  if (parameters.size !== 4 || created?.kind !== 'integer' || created.value < 0) return null
  if (keyid?.kind !== 'string' || !KEY_ID.test(keyid.value)) return null
  if (nonce?.kind !== 'string' || !NONCE.test(nonce.value)) return null
  if (algorithm?.kind !== 'string' || algorithm.value !== SIGNATURE_ALGORITHM) return null
  return { created: created.value, keyid: keyid.value, nonce: nonce.value }
}

/** Whether the input covers what it must, each once and without parameters, in whatever order. */
export function coversRequest({ components }: SignatureInput, request: RequestParts): boolean {
  const names = components.map(serializeItem).sort()
  const expected = coveredComponents(request)
    .map(name => `"${name}"`)
    .sort()
  return names.length === expected.length && names.every((name, index) => name === expected[index])
}

/**
 * The text that is signed (RFC 9421, section 2.5).
 * @param lookUp the value of a component by its identifier as it is written, `"@path"`; null when there is none
 * @returns null when a component has no value, or one that could be taken for another line
 */
export function signatureBase(input: SignatureInput, lookUp: (identifier: string) => string | null): string | null {
  const lines: string[] = []
  for (const component of input.components) {
    const identifier = serializeItem(component)
    const value = lookUp(identifier)
    if (value === null || !/^[\x20-\x7e]*$/.test(value)) return null
    lines.push(`${identifier}: ${value}`)
  }
  return [...lines, `"@signature-params": ${serializeInput(input)}`].join('\n')
}

/** Values of the components that a signed request covers. */
export function componentValue(request: RequestParts, identifier: string): string | null {
  switch (identifier) {
    case '"@method"':
      return request.method
    case '"@authority"':
      return request.authority
    case '"@path"':
      return request.path
    case '"@query"':
      return request.query
    default:
      return request.fields[identifier.slice(1, -1)] ?? null
  }
}

function serializeInput({ components, parameters }: SignatureInput): string {
  return serializeMember({ items: components, parameters })
}
