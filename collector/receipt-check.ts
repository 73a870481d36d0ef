import { TelescopeError } from '../schemas/errors.ts'
import { type ReceiptSignature, receiptText } from '../schemas/receipt-signature.ts'
import type { HubKey } from '../schemas/sensor-key.ts'
import { verifyText } from './ed25519-key.ts'
import type { Identity } from './identity.ts'

/**
 * What is wrong with a receipt for a sensor that knows its hub's key; null when it is good, or when no key is known.
 * A receipt with a fault counts as none: RECEIPT_INVALID.
 */
export function receiptFault(receipt: object, identity: Identity): TelescopeError | null {
  if (identity.hubKey === undefined) return null
  const { sensor } = receipt as { sensor?: unknown }
  if (sensor !== identity.sensor) {
    return invalid(`is for sensor "${String(sensor).slice(0, 40)}", not for "${identity.sensor}"`)
  }
  return signatureFault(receipt, identity.hubKey)
}

/** What is wrong with the signature of a receipt, as RECEIPT_INVALID; null when the key has signed it as it is. */
export function signatureFault(receipt: object, hubKey: HubKey): TelescopeError | null {
  const { signature } = receipt as { signature?: unknown }
  const { key_id, algorithm, value } = (signature ?? {}) as Partial<Record<keyof ReceiptSignature, unknown>>
  if (algorithm !== 'ed25519' || typeof value !== 'string' || typeof key_id !== 'string') {
    return invalid('is not signed; take the receipt from the hub itself')
  }
  if (key_id !== hubKey.key_id) {
    return invalid(
      `is signed with key ${key_id.slice(0, 40)}, the hub's key is ${hubKey.key_id}; ask the coordinator whether the hub has a new one, and enrol again if so`,
    )
  }
  if (verifyText(hubKey.public_key, receiptText(receipt), Buffer.from(value, 'base64url'))) return null
  return invalid('or its signature was changed: the key of the hub has not signed this')
}

function invalid(what: string): TelescopeError {
  return new TelescopeError('RECEIPT_INVALID', `receipt: ${what}`)
}
