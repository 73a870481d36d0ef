import type { Receipt } from '../../schemas/catalog.ts'
import { request } from './api.ts'

/** What a person may do with an upload; which of them depends on its state. */
export type ReceiptAction = 'accept' | 'withdraw' | 'retry'

/** Uploads shown at most; older ones are found by filter. */
export const RECEIPTS_SHOWN_MAX = 100

export interface ReceiptFilter {
  /** `all`, or a state. */
  readonly state: string
  /** Null: of every sensor that the credential may see. */
  readonly sensor: string | null
}

export function receiptsUrl({ state, sensor }: ReceiptFilter): string {
  const query = [`limit=${RECEIPTS_SHOWN_MAX}`]
  if (sensor !== null) query.push(`sensor=${sensor}`)
  if (state !== 'all') query.push(`state=${state}`)
  return `/api/v1/receipts?${query.join('&')}`
}

/** Newest first. @throws as fetchAnswer */
export async function fetchReceipts(
  filter: ReceiptFilter,
  token: string | null,
  signal: AbortSignal,
): Promise<readonly Receipt[]> {
  const { receipts } = await request<{ receipts: readonly Receipt[] }>(receiptsUrl(filter), { signal, token })
  return receipts
}

/** @returns the actions that a state allows, the likeliest first */
export function receiptActions(state: string): readonly ReceiptAction[] {
  switch (state) {
    case 'counted':
      return ['withdraw']
    case 'held':
      return ['accept', 'withdraw']
    case 'quarantined':
      return ['retry', 'withdraw']
    case 'withdrawn':
      return ['accept']
    default:
      return []
  }
}

/** @throws as fetchAnswer; the hub decides anew whether the upload still is in a state that allows it */
export async function actOnReceipt(
  { sensor, sha256 }: Receipt,
  action: ReceiptAction,
  token: string | null,
  signal: AbortSignal,
): Promise<void> {
  await request<unknown>(`/api/v1/receipts/${sha256}/${action}?sensor=${sensor}`, { method: 'POST', signal, token })
}
