import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { parametersJsonSchema } from '../../../schemas/api.ts'
import { UPLOAD_KINDS, type UploadKind } from '../../../schemas/catalog.ts'
import { checkContentType } from '../content-type.ts'
import { digestMismatch } from '../digest-mismatch.ts'
import { ERROR_SCHEMA } from '../error-reply.ts'
import { SIGNED_RECEIPT_SCHEMA } from '../hub-key.ts'
import type { ServerParts } from '../server-parts.ts'
import { REQUEST_MILLISECONDS } from '../time-limits.ts'
import { readUploadHeaders } from '../upload-headers.ts'
import { SHA256_PARAMS } from './sha256-params.ts'
import { announcedLength, receiptPath, registeredSensor, SENSOR_PARAMETER } from './upload-request.ts'

type UploadRoute = { Params: { sha256: string }; Querystring: { sensor?: string } }

const PATHS: Record<UploadKind, { path: string; summary: string }> = {
  capture: { path: '/api/v1/captures/:sha256', summary: 'Upload a raw capture in one piece.' },
  batch: {
    path: '/api/v1/batches/:sha256',
    summary: 'Upload a batch: an Arrow stream of flows of one sensor, plain or in gzip.',
  },
}

/**
 * Uploads. The answer comes only when the bytes and the receipt are durable. `app` must be a scope of its own: bodies
 * are taken as they are here, whatever their content type.
 */
export function addUploadRoutes(app: FastifyInstance, parts: ServerParts): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => done(null))
  for (const kind of UPLOAD_KINDS) {
    const { path, summary } = PATHS[kind]
    app.put<UploadRoute>(
      path,
      {
        config: { access: 'upload', boundBody: true },
        handlerTimeout: REQUEST_MILLISECONDS,
        schema: {
          summary,
          description:
            'Answers 201 with the receipt when the bytes are durable, 200 with the same receipt when they were received before. Whether they are a capture or batch that can be counted is found out afterwards: GET what the location header names, with wait, says so.',
          params: SHA256_PARAMS,
          querystring: parametersJsonSchema(SENSOR_PARAMETER),
          response: {
            200: SIGNED_RECEIPT_SCHEMA,
            201: SIGNED_RECEIPT_SCHEMA,
            '4xx': ERROR_SCHEMA,
            '5xx': ERROR_SCHEMA,
          },
        },
      },
      (request, reply) => receiveUpload(kind, request, reply, parts),
    )
  }
}

async function receiveUpload(
  kind: UploadKind,
  request: FastifyRequest<UploadRoute>,
  reply: FastifyReply,
  { storage, receiver, hubKey, quotas }: ServerParts,
) {
  const sha256 = request.params.sha256.toLowerCase()
  const sensor = await registeredSensor(request, storage)
  checkContentType(kind, request.headers['content-type'])
  // The path is signed, and the receiver holds the body against it before anything is acknowledged.
  if (request.signedSha256 !== null && request.signedSha256 !== sha256) {
    throw digestMismatch(sha256, request.signedSha256)
  }
  const headers = readUploadHeaders(request)
  const contentLength = announcedLength(request)
  const earlier = await receiver.find(sensor, sha256, headers.sequence, contentLength)
  // The body of a repetition is not looked at; node reads it off the connection, or it is not even sent when the
  // client waits for 100 Continue.
  if (earlier !== null) {
    reply.header('location', receiptPath(request, sha256, sensor))
    return hubKey.sign(earlier)
  }
  let received: number | null = null
  const leave = await quotas.enter(sensor, contentLength)
  try {
    await receiver.announce(kind, contentLength)
    if (request.headers.expect !== undefined) reply.raw.writeContinue()
    const { receipt, created } = await receiver.receive({
      sensor,
      sha256,
      kind,
      contentLength,
      body: request.raw,
      ...headers,
    })
    if (created) received = receipt.byte_count
    reply.code(created ? 201 : 200).header('location', receiptPath(request, sha256, sensor))
    return hubKey.sign(receipt)
  } finally {
    leave(received)
    // What is left of a refused body is read and thrown away, so that the client gets to read the answer.
    request.raw.resume()
  }
}
