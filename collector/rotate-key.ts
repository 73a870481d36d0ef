import { TelescopeError } from '../schemas/errors.ts'
import { successionText } from '../schemas/sensor-key.ts'
import { makePrivateKey, parsePrivateKey, type SigningKey, signText } from './ed25519-key.ts'
import { errorOfAnswer, successOfAnswer } from './hub-answer.ts'
import { askHub } from './hub-request.ts'
import { type Identity, readIdentity, readIdentityFile, replaceIdentityFile } from './identity.ts'
import { postJson } from './post-json.ts'

/**
 * Gives the sensor a new key. The new one is on disk before the hub hears of it, and takes the place of the old one
 * when the hub has it; so this can be killed at any moment and run again, and a sender that runs meanwhile goes on.
 * @returns name of the new key
 * @throws IDENTITY_INVALID, what the hub answers, HUB_UNREACHABLE
 */
export async function rotateKey(path: string, hub: URL): Promise<string> {
  const identity = readIdentity(path)
  if (identity.key === undefined) {
    throw new TelescopeError('IDENTITY_INVALID', `identity ${path}: holds a token and no key that could be rotated`, {
      path,
    })
  }
  // As it was read, whatever the file holds by now: both keys have to be used by their own.
  const { path: _followed, ...old } = identity
  const next = prepareNext(path)
  await announce(hub, { ...old, key: identity.key }, next)
  const { next_private_key, ...file } = readIdentityFile(path)
  if (next_private_key !== undefined) replaceIdentityFile(path, { ...file, private_key: next_private_key })
  await use(hub, { ...old, key: next })
  return next.id
}

/** The key that will take over, from a run that was cut short or new. */
function prepareNext(path: string): SigningKey {
  const file = readIdentityFile(path)
  const pem = file.next_private_key ?? makePrivateKey()
  const next = parsePrivateKey(pem)
  if (next === null) {
    throw new TelescopeError('IDENTITY_INVALID', `identity ${path}: next_private_key is no Ed25519 key in PEM`, {
      path,
    })
  }
  if (file.next_private_key === undefined) replaceIdentityFile(path, { ...file, next_private_key: pem })
  return next
}

async function announce(hub: URL, old: Identity & { key: SigningKey }, next: SigningKey): Promise<void> {
  const proof = signText(next, successionText(old.sensor, old.key.id, next.id)).toString('base64url')
  const answer = await postJson(hub, old, 'api/v1/sensor-keys', { public_key: next.publicKey, proof })
  if (errorOfAnswer(answer.body)?.code === 'SENSOR_KEY_REVOKED') {
    // A run that was cut short may have announced the new key so long ago that the old one has ended.
    const known = await use(hub, { ...old, key: next }).then(
      () => true,
      () => false,
    )
    if (known) return
  }
  successOfAnswer(hub, answer)
}

/** The first request with the new key tells the hub that the old one is no longer needed. */
async function use(hub: URL, identity: Identity): Promise<void> {
  const { signal } = new AbortController()
  successOfAnswer(hub, await askHub({ hub, identity, method: 'GET', path: 'api/v1/status', signal }))
}
