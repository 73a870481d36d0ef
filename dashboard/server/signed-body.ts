import { createHash } from 'node:crypto'
import { Transform } from 'node:stream'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { parseDigest } from '../../schemas/digest-field.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { digestMismatch } from './digest-mismatch.ts'

/**
 * Holds the body of a signed request against its digest before a handler sees it. Routes whose bodies are uploads
 * (`config.boundBody`) do that themselves, because the digest of the whole upload is in what is signed: in the path, or
 * in Repr-Digest.
 */
export function checkSignedBodies(app: FastifyInstance): void {
  app.addHook('preParsing', async (request, _reply, payload) => {
    const { access, boundBody } = request.routeOptions.config
    const isOthers = boundBody || access === undefined || request.headers['signature-input'] === undefined
    if (isOthers || !hasBody(request)) return payload
    const sha256 = parseDigest(String(request.headers['content-digest'] ?? ''))
    if (sha256 === null) {
      throw new TelescopeError(
        'SIGNATURE_MALFORMED',
        'signature of a request with a body must cover its content-digest, one SHA-256 (RFC 9530)',
      )
    }
    const hash = createHash('sha256')
    const checked = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        hash.update(chunk)
        done(null, chunk)
      },
      flush(done) {
        const actual = hash.digest('hex')
        done(actual === sha256 ? null : digestMismatch(sha256, actual))
      },
    })
    payload.on('error', error => checked.destroy(error))
    return payload.pipe(checked)
  })
}

function hasBody({ headers }: FastifyRequest): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}
