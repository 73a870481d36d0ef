import { TelescopeError } from '../schemas/errors.ts'
import type { EnrolmentRequest } from '../schemas/sensor-key.ts'
import { notAHub, successOfAnswer } from './hub-answer.ts'
import { readHubKey, readIdentity, readIdentityFile, replaceIdentityFile } from './identity.ts'
import { postJson } from './post-json.ts'

/**
 * Makes the sensor's public key known to the hub by a code of the coordinator, and keeps the hub's public key in the
 * identity. Killed at any moment it can be run again with the same code: the hub takes it once more for the same key.
 * @returns name of the sensor's key
 * @throws IDENTITY_INVALID, what the hub answers (INVITATION_UNKNOWN ...), HUB_UNREACHABLE
 */
export async function enrol(path: string, hub: URL, code: string): Promise<string> {
  const identity = readIdentity(path)
  const { sensor, key } = identity
  if (key === undefined) {
    throw new TelescopeError(
      'IDENTITY_INVALID',
      `identity ${path}: holds a token and no key; a token needs no enrolment, and hirundo sensor init makes a key`,
      { path },
    )
  }
  const request: EnrolmentRequest = { sensor, code, public_key: key.publicKey }
  const answer = await postJson(hub, identity, 'api/v1/enrolments', request)
  const body = successOfAnswer(hub, answer) as { hub_key?: unknown } | null
  const hubKey = readHubKey(body?.hub_key)
  if (hubKey === null) throw notAHub(hub, answer.status)
  replaceIdentityFile(path, { ...readIdentityFile(path), hub_key: hubKey })
  return key.id
}
