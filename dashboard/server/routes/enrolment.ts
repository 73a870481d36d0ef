import type { FastifyInstance } from 'fastify'
import { TelescopeError } from '../../../schemas/errors.ts'
import { type Enrolment, type EnrolmentRequest, SENSOR_KEY, successionText } from '../../../schemas/sensor-key.ts'
import { Attempts } from '../attempts.ts'
import { ERROR_SCHEMA } from '../error-reply.ts'
import { hashCode } from '../invitation-code.ts'
import { isPublicKey, publicKeyId, verifyText } from '../public-key.ts'
import type { ServerParts } from '../server-parts.ts'
import type { SignatureCheck } from '../signature-check.ts'

const HUB_KEY_SCHEMA = {
  type: 'object',
  required: ['key_id', 'public_key'],
  properties: {
    key_id: { type: 'string', description: 'The first 32 hexadecimal digits of the SHA-256 of its 32 bytes.' },
    public_key: { type: 'string', description: 'Ed25519 public key, 32 bytes in base64url.' },
  },
}
const PUBLIC_KEY = { type: 'string', maxLength: 100, description: SENSOR_KEY.public_key.doc }

/** What sensors do about their keys: enrol one, announce its successor; and the hub's own public key. */
export function addEnrolmentRoutes(
  app: FastifyInstance,
  { storage, hubKey }: ServerParts,
  signatures: SignatureCheck,
): void {
  const attempts = new Attempts()
  const shownHubKey = { key_id: hubKey.key_id, public_key: hubKey.public_key }
  app.get(
    '/api/v1/hub-key',
    {
      config: { access: 'anything' },
      schema: { summary: 'The public key by which the hub signs receipts.', response: { 200: HUB_KEY_SCHEMA } },
    },
    async () => shownHubKey,
  )
  app.post<{ Body: EnrolmentRequest }>(
    '/api/v1/enrolments',
    {
      config: { access: 'anything', ownSignature: true },
      schema: {
        summary: "Enrol a sensor's key by a one-time code. The request is signed with that key.",
        body: {
          type: 'object',
          additionalProperties: false,
          required: ['sensor', 'code', 'public_key'],
          properties: {
            sensor: { type: 'string', maxLength: 100, description: SENSOR_KEY.sensor.doc },
            code: { type: 'string', maxLength: 100, description: 'What hirundo sensor invite printed.' },
            public_key: PUBLIC_KEY,
          },
        },
        response: {
          200: {
            type: 'object',
            required: ['sensor', 'key_id', 'hub_key'],
            properties: { sensor: { type: 'string' }, key_id: { type: 'string' }, hub_key: HUB_KEY_SCHEMA },
          },
          '4xx': ERROR_SCHEMA,
        },
      },
    },
    async (request): Promise<Enrolment> => {
      const { sensor, code, public_key } = request.body
      const key_id = checkedKeyId(public_key)
      signatures.enrolling(request, public_key)
      attempts.check(request.ip)
      try {
        await storage.enrol(hashCode(code), { sensor, key_id, public_key })
      } catch (error) {
        if (error instanceof TelescopeError && error.code.startsWith('INVITATION_')) {
          attempts.failed(request.ip)
          // Not the name that was sent: anyone may send anything.
          await storage.audit({
            actor: 'unknown',
            action: 'sensor enrol',
            subject: 'refused',
            details: { code: error.code },
          })
        }
        throw error
      }
      return { sensor, key_id, hub_key: shownHubKey }
    },
  )
  app.post<{ Body: { public_key: string; proof: string } }>(
    '/api/v1/sensor-keys',
    {
      config: { access: 'renew key' },
      schema: {
        summary: 'Announce the successor of the key that signs the request.',
        description:
          'Both keys are taken for seven days, or until five minutes after the first use of the new one. Again with the same key it changes nothing.',
        body: {
          type: 'object',
          additionalProperties: false,
          required: ['public_key', 'proof'],
          properties: {
            public_key: PUBLIC_KEY,
            proof: {
              type: 'string',
              maxLength: 200,
              description:
                'Signature by the new key, in base64url, over the lines "hirundo key succession", sensor, name of the old key, name of the new key, separated by line feeds.',
            },
          },
        },
        response: {
          200: { type: 'object', required: ['key_id'], properties: { key_id: { type: 'string' } } },
          '4xx': ERROR_SCHEMA,
        },
      },
    },
    async ({ subject, body }) => {
      const { sensor, keyId } = subject
      if (sensor === null || keyId === undefined) {
        throw new TelescopeError('FORBIDDEN', 'a token announces no key; enrol with a code of the coordinator')
      }
      const key_id = checkedKeyId(body.public_key)
      const proof = Buffer.from(body.proof, 'base64url')
      if (!verifyText(body.public_key, successionText(sensor, keyId, key_id), proof)) {
        throw new TelescopeError('QUERY_INVALID', 'field "proof" is no signature of the new key over the succession')
      }
      await storage.succeedSensorKey(keyId, { sensor, key_id, public_key: body.public_key })
      return { key_id }
    },
  )
}

function checkedKeyId(publicKey: string): string {
  if (isPublicKey(publicKey)) return publicKeyId(publicKey)
  throw new TelescopeError('QUERY_INVALID', 'field "public_key" is not 32 bytes in base64url without padding')
}
