import type { FastifyRequest } from 'fastify'
import type { Storage } from '../../analytics/storage.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { SIGNATURE_AGE_SECONDS_MAX, type SignatureParameters } from '../../schemas/http-signature.ts'
import type { SensorKey } from '../../schemas/sensor-key.ts'
import type { Subject } from './access.ts'
import { NonceMemory } from './nonce-memory.ts'
import { publicKeyId } from './public-key.ts'
import { isSignedBy, readSignature, type SignedRequest, signedContentDigest } from './signed-request.ts'

/** Knows sensors by the signatures of their requests (RFC 9421). */
export class SignatureCheck {
  readonly #storage: Storage
  readonly #names: readonly string[]
  readonly #nonces = new NonceMemory()

  /** @param names by which a proxy is asked for this hub */
  constructor(storage: Storage, names: readonly string[]) {
    this.#storage = storage
    this.#names = names
  }

  /**
   * The sensor that signed a request; what its body must be is left on the request.
   * @throws SIGNATURE_MALFORMED, SENSOR_KEY_UNKNOWN, SENSOR_KEY_REVOKED, SIGNATURE_INVALID, CLOCK_OFF,
   *   SIGNATURE_STALE, SIGNATURE_REPLAYED, REQUESTS_TOO_MANY
   */
  async subject(request: FastifyRequest): Promise<Subject> {
    const signed = readSignature(request)
    const { keyid } = signed.parameters
    const key = await this.#storage.findSensorKey(keyid)
    if (key === null) {
      throw new TelescopeError(
        'SENSOR_KEY_UNKNOWN',
        `key ${keyid}: no sensor is enrolled with it; ask the coordinator for a code and run hirundo sensor enrol`,
        { key_id: keyid },
      )
    }
    refuseEnded(key)
    this.#accept(request, signed, key.public_key)
    if (key.first_used_at === null) await this.#storage.noteKeyUsed(keyid)
    return { role: 'sensor', sensor: key.sensor, credential: 'key', keyId: keyid }
  }

  /**
   * Checks that the caller of an enrolment holds the key that it sends.
   * @throws as `subject`, without those of known keys
   */
  enrolling(request: FastifyRequest, publicKey: string): void {
    const signed = readSignature(request)
    const keyId = publicKeyId(publicKey)
    if (signed.parameters.keyid !== keyId) throw invalid(signed.parameters.keyid)
    // Its nonces are not remembered, or anyone could fill the memory; the code is good once.
    this.#verify(signed, publicKey)
  }

  #accept(request: FastifyRequest, signed: SignedRequest, publicKey: string): void {
    this.#verify(signed, publicKey)
    const { keyid, nonce, created } = signed.parameters
    const state = this.#nonces.take(keyid, nonce, created, performance.now() / 1000)
    if (state === 'known') {
      throw new TelescopeError(
        'SIGNATURE_REPLAYED',
        `signature of key ${keyid} with nonce ${nonce} was taken before; sign each request anew`,
        { key_id: keyid },
      )
    }
    if (state === 'full') {
      throw new TelescopeError(
        'REQUESTS_TOO_MANY',
        `key ${keyid} has sent more requests within ten minutes than the hub takes; wait a few minutes`,
        { key_id: keyid },
      )
    }
    request.signedSha256 = signedContentDigest(signed)
  }

  #verify(signed: SignedRequest, publicKey: string): void {
    if (!isSignedBy(signed, publicKey, this.#names)) throw invalid(signed.parameters.keyid)
    this.#checkClock(signed.parameters)
  }

  #checkClock({ created, keyid }: SignatureParameters): void {
    const seconds = created - Math.floor(Date.now() / 1000)
    if (Math.abs(seconds) <= SIGNATURE_AGE_SECONDS_MAX) return
    const newest = this.#nonces.newestCreated(keyid)
    if (seconds < 0 && newest !== null && newest > created) {
      throw new TelescopeError(
        'SIGNATURE_STALE',
        `signature is ${-seconds} s old, at most ${SIGNATURE_AGE_SECONDS_MAX} s are taken; sign the request anew`,
        { age_seconds: -seconds },
      )
    }
    throw new TelescopeError(
      'CLOCK_OFF',
      `clock of the sensor is ${Math.abs(seconds)} s ${seconds < 0 ? 'behind' : 'ahead of'} that of the hub, at most ${SIGNATURE_AGE_SECONDS_MAX} s are taken; set it (timedatectl set-ntp true)`,
      { clock_off_seconds: seconds },
    )
  }
}

function refuseEnded({ key_id, revoked_at, valid_until }: SensorKey): void {
  if (revoked_at !== null) {
    throw new TelescopeError(
      'SENSOR_KEY_REVOKED',
      `key ${key_id} was revoked at ${revoked_at}; ask the coordinator for a code if the sensor is to go on; then move the identity file away, run hirundo sensor init in its folder, and hirundo sensor enrol`,
      { key_id },
    )
  }
  if (valid_until !== null && Date.parse(valid_until) <= Date.now()) {
    throw new TelescopeError(
      'SENSOR_KEY_REVOKED',
      `key ${key_id} ended at ${valid_until} because another has taken its place; use the present identity file`,
      { key_id },
    )
  }
}

function invalid(keyId: string): TelescopeError {
  return new TelescopeError(
    'SIGNATURE_INVALID',
    `signature does not fit the request and key ${keyId}; a proxy on the way must hand on method, host, path and headers as they are`,
    { key_id: keyId },
  )
}
