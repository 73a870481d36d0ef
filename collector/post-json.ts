import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { formatDigest } from '../schemas/digest-field.ts'
import { askHub, type HubAnswer } from './hub-request.ts'
import type { Identity } from './identity.ts'

/**
 * Sends a JSON document to the hub, with the digest that its signature covers.
 * @throws HUB_UNREACHABLE when there is no answer
 */
export async function postJson(hub: URL, identity: Identity, path: string, document: object): Promise<HubAnswer> {
  const text = Buffer.from(JSON.stringify(document))
  return await askHub({
    hub,
    identity,
    method: 'POST',
    path,
    headers: {
      'content-type': 'application/json',
      'content-length': String(text.length),
      'content-digest': formatDigest(createHash('sha256').update(text).digest('hex')),
    },
    body: Readable.from([text]),
    signal: new AbortController().signal,
  })
}
