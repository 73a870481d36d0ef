/**
 * Signed receipts. The hub signs the UTF-8 text `hirundo receipt\n` and behind it the receipt as canonical JSON (RFC
 * 8785), without its member `signature`; so whoever keeps the receipt and the hub's public key can check it later
 * with any Ed25519 library.
 */

export interface ReceiptSignature {
  /** Name of the hub's key: the first 32 hexadecimal digits of the SHA-256 of its 32 bytes. */
  readonly key_id: string
  readonly algorithm: 'ed25519'
  /** 64 bytes in base64url. */
  readonly value: string
}

/** JSON schema of the member `signature`. */
export const RECEIPT_SIGNATURE_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['key_id', 'algorithm', 'value'],
  description:
    'Ed25519 signature of the hub over "hirundo receipt", a line feed, and the other members as canonical JSON (RFC 8785); GET /api/v1/hub-key has the key.',
  properties: {
    key_id: { type: 'string', description: 'The key that signed.' },
    algorithm: { type: 'string', enum: ['ed25519'] },
    value: { type: 'string', description: 'The signature, 64 bytes in base64url.' },
  },
} as const

/** The text that the hub signs for a receipt; a member `signature` is left out. */
export function receiptText(receipt: object): string {
  const { signature: _signature, ...rest } = receipt as Record<string, unknown>
  return `hirundo receipt\n${canonicalJson(rest)}`
}

/** RFC 8785; JSON.stringify already writes numbers and texts as it asks. */
function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value as Record<string, unknown>)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`).join(',')}}`
}
