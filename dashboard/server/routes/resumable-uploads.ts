import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type ParameterTable, parametersJsonSchema } from '../../../schemas/api.ts'
import { RECEIPT, type Receipt, UPLOAD_KINDS, type UploadKind } from '../../../schemas/catalog.ts'
import { rowJsonSchema } from '../../../schemas/column.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { sensorOf } from '../access.ts'
import { bodyTooLarge, UPLOAD_BYTES_MAX } from '../body-writer.ts'
import { checkContentType, requireContentType } from '../content-type.ts'
import { ERROR_SCHEMA, sendError } from '../error-reply.ts'
import { sendUploadSupported } from '../interim-response.ts'
import { booleanField, readUploadFields, uploadLimit } from '../resumable-fields.ts'
import type { Append, ResumableUpload } from '../resumable-upload.ts'
import type { ServerParts } from '../server-parts.ts'
import { REQUEST_MILLISECONDS } from '../time-limits.ts'
import { announcedLength, receiptPath, registeredSensor, SENSOR_PARAMETER, sensorQuery } from './upload-request.ts'

const KIND_PARAMETERS = {
  kind: { type: 'choice', choices: UPLOAD_KINDS, default: 'capture', doc: 'What is uploaded.' },
  ...SENSOR_PARAMETER,
} as const satisfies ParameterTable

type CreateRoute = { Querystring: { kind: UploadKind; sensor?: string } }
type UploadRoute = { Params: { id: string }; Querystring: { sensor?: string } }

const ID_PARAMS = {
  type: 'object',
  required: ['id'],
  properties: { id: { type: 'string', maxLength: 64, description: 'Name of the upload, from its location.' } },
} as const

const DRAFT = 'draft-ietf-httpbis-resumable-upload-12 (Upload-Draft-Interop-Version: 9)'

/**
 * Uploads that go on where they were cut off. `app` must be a scope of its own: bodies are taken as they are here, and
 * errors bear what the draft asks of them.
 */
export function addResumableUploadRoutes(app: FastifyInstance, parts: ServerParts): void {
  const { resumable } = parts
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => done(null))
  app.setErrorHandler((error, request, reply) => void sendError(error, request, reply, problemOf))
  const config = { access: 'upload' } as const
  const answers = {
    200: rowJsonSchema(RECEIPT),
    201: rowJsonSchema(RECEIPT),
    '4xx': ERROR_SCHEMA,
    '5xx': ERROR_SCHEMA,
  }

  app.options<CreateRoute>(
    '/api/v1/uploads',
    {
      config,
      schema: {
        summary: 'Limits of resumable uploads.',
        description: `Answers 204 with Upload-Limit. ${DRAFT}.`,
        querystring: parametersJsonSchema(KIND_PARAMETERS),
      },
    },
    (request, reply) => {
      reply.code(204).header('upload-limit', uploadLimit(UPLOAD_BYTES_MAX[request.query.kind], null)).send()
    },
  )

  app.post<CreateRoute>(
    '/api/v1/uploads',
    {
      config,
      handlerTimeout: REQUEST_MILLISECONDS,
      schema: {
        summary: 'Begin a resumable upload of a capture or batch.',
        description: `After ${DRAFT}. With Upload-Complete: ?0 answers 201, and the location is where to append; where the hub has bytes of it already, Upload-Offset says how many. With Upload-Complete: ?1 the body is all of it, and the answer is that of PUT. Repr-Digest names the SHA-256, now or when it is completed; when these bytes were received before, the answer is 200 with their receipt.`,
        querystring: parametersJsonSchema(KIND_PARAMETERS),
        // What is begun has no body, and a schema would make one up.
        response: { 200: answers[200], '4xx': ERROR_SCHEMA, '5xx': ERROR_SCHEMA },
      },
    },
    (request, reply) => withBody(request, () => create(request, reply, parts)),
  )

  app.get<UploadRoute>(
    '/api/v1/uploads/:id',
    {
      config,
      schema: {
        summary: 'How far a resumable upload has come.',
        description: `Answers 204 with Upload-Offset, Upload-Complete, Upload-Length and Upload-Limit; HEAD is the same. An append that is under way ends. ${DRAFT}.`,
        params: ID_PARAMS,
        querystring: parametersJsonSchema(SENSOR_PARAMETER),
        response: { '4xx': ERROR_SCHEMA, '5xx': ERROR_SCHEMA },
      },
    },
    async (request, reply) => {
      const upload = resumable.find(sensorOf(request.subject, request.query.sensor), request.params.id)
      const { offset, complete, length } = await upload.settledState()
      reply.headers({ 'upload-offset': offset, 'upload-complete': booleanField(complete), 'cache-control': 'no-store' })
      if (length !== null) reply.header('upload-length', length)
      return reply.code(204).header('upload-limit', limitOf(upload, parts)).send()
    },
  )

  app.patch<UploadRoute>(
    '/api/v1/uploads/:id',
    {
      config,
      handlerTimeout: REQUEST_MILLISECONDS,
      schema: {
        summary: 'Append to a resumable upload.',
        description: `The body, application/partial-upload, begins at Upload-Offset. Answers 204 when more is to come (Upload-Complete: ?0), else as PUT does. What arrives of a body that is cut off stays. ${DRAFT}.`,
        params: ID_PARAMS,
        querystring: parametersJsonSchema(SENSOR_PARAMETER),
        response: answers,
      },
    },
    (request, reply) => withBody(request, () => append(request, reply, parts)),
  )

  app.delete<UploadRoute>(
    '/api/v1/uploads/:id',
    {
      config,
      schema: {
        summary: 'Give up a resumable upload.',
        description: `Answers 204; what was appended is removed. A receipt, if there is one, stays. ${DRAFT}.`,
        params: ID_PARAMS,
        querystring: parametersJsonSchema(SENSOR_PARAMETER),
        response: { '4xx': ERROR_SCHEMA, '5xx': ERROR_SCHEMA },
      },
    },
    async (request, reply) => {
      await resumable.remove(sensorOf(request.subject, request.query.sensor), request.params.id)
      return reply.code(204).send()
    },
  )
}

async function create(request: FastifyRequest<CreateRoute>, reply: FastifyReply, parts: ServerParts) {
  const { resumable, receiver, storage } = parts
  const { kind } = request.query
  const sensor = await registeredSensor(request, storage)
  const { complete, length, sha256, takesInterim } = readUploadFields(request.headers)
  reply.header('upload-complete', '?0')
  checkContentType(kind, request.headers['content-type'])
  if (complete === null) throw fieldMissing('upload-complete', '?0 to append later, ?1 when the body is all of it')
  const earlier = sha256 === null ? null : await receiver.find(sensor, sha256)
  if (earlier !== null) return sendReceipt(request, reply, earlier, false)
  const contentLength = announcedLength(request)
  const announced = length ?? (complete ? contentLength : null)
  if (announced !== null && announced > UPLOAD_BYTES_MAX[kind]) {
    reply.header('upload-limit', uploadLimit(UPLOAD_BYTES_MAX[kind], null))
    throw bodyTooLarge(kind, announced)
  }
  const isEmpty = contentLength === 0 && !complete
  const begun = { sensor, kind, length: announced, sha256 }
  const upload = (isEmpty ? resumable.findSame(begun) : null) ?? (await resumable.create(begun))
  const location = `/api/v1/uploads/${upload.state.id}${sensorQuery(request.subject, sensor)}`
  if (!isEmpty) {
    if (takesInterim) sendUploadSupported(reply, { Location: location, 'Upload-Limit': limitOf(upload, parts) })
    try {
      const done = await appendBody(upload, request, reply, { offset: 0, complete, length, sha256, contentLength })
      if (done !== null) return sendReceipt(request, reply, done.receipt, done.created)
    } catch (error) {
      // Nobody can go on with it, but a client whose connection was cut.
      const { isRemoved, state } = upload
      const wasCut = (error as Partial<TelescopeError>).code === 'BODY_CUT_SHORT'
      if (!isRemoved && state.offset === 0 && !wasCut) await resumable.remove(sensor, state.id)
      throw error
    }
  }
  reply.headers({ location, 'upload-offset': upload.state.offset, 'upload-limit': limitOf(upload, parts) })
  return reply.code(201).send()
}

async function append(request: FastifyRequest<UploadRoute>, reply: FastifyReply, parts: ServerParts) {
  const upload = parts.resumable.find(sensorOf(request.subject, request.query.sensor), request.params.id)
  const { complete, offset, length, sha256 } = readUploadFields(request.headers)
  reply.header('upload-complete', '?0')
  requireContentType('application/partial-upload', request.headers['content-type'])
  if (offset === null) throw fieldMissing('upload-offset', 'the byte at which the body begins')
  if (complete === null) throw fieldMissing('upload-complete', '?0 when more follows, ?1 when the body is the rest')
  const contentLength = announcedLength(request)
  const done = await appendBody(upload, request, reply, { offset, complete, length, sha256, contentLength })
  if (done !== null) return sendReceipt(request, reply, done.receipt, done.created)
  reply.headers({ 'upload-offset': upload.state.offset, 'upload-limit': limitOf(upload, parts) })
  return reply.code(204).send()
}

async function appendBody(
  upload: ResumableUpload,
  request: FastifyRequest,
  reply: FastifyReply,
  fields: Omit<Append, 'body'>,
) {
  const { takesInterim } = readUploadFields(request.headers)
  const body = () => {
    if (request.headers.expect !== undefined) reply.raw.writeContinue()
    return request.raw
  }
  try {
    return await upload.append({ ...fields, body }, offset => {
      if (takesInterim) sendUploadSupported(reply, { 'Upload-Offset': String(offset) })
    })
  } catch (error) {
    const { code } = error as Partial<TelescopeError>
    // The upload has ended, and not well: there is nothing to go on with.
    if (upload.isRemoved) reply.header('upload-complete', '?1')
    if (code === 'UPLOAD_OFFSET_MISMATCH') reply.header('upload-offset', upload.state.offset)
    if (code === 'BODY_TOO_LARGE') {
      reply.header('upload-limit', uploadLimit(UPLOAD_BYTES_MAX[upload.state.kind], null))
    }
    throw error
  }
}

/** The answer of PUT, and that the upload is complete. */
function sendReceipt(request: FastifyRequest, reply: FastifyReply, receipt: Receipt, created: boolean): Receipt {
  reply.code(created ? 201 : 200).headers({
    location: receiptPath(request, receipt.sha256, receipt.sensor),
    'upload-complete': '?1',
  })
  return receipt
}

/** What is left of a body that is not wanted is read and thrown away, so that the client gets to read the answer. */
async function withBody<T>(request: FastifyRequest, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } finally {
    request.raw.resume()
  }
}

function limitOf(upload: ResumableUpload, { resumable }: ServerParts): string {
  return uploadLimit(UPLOAD_BYTES_MAX[upload.state.kind], resumable.maxAge(upload))
}

function fieldMissing(header: string, expected: string): TelescopeError {
  return new TelescopeError('QUERY_INVALID', `header "${header}" is missing or cannot be read, expected ${expected}`, {
    header,
  })
}

/** Problem types that the draft registers. */
function problemOf({ code, status, details, message }: TelescopeError): object | null {
  const about = (name: string) => ({
    type: `https://iana.org/assignments/http-problem-types#${name}`,
    title: message,
    status,
  })
  if (code === 'UPLOAD_LENGTH_INCONSISTENT') return about('inconsistent-upload-length')
  if (code !== 'UPLOAD_OFFSET_MISMATCH') return null
  const { expected_offset: expected, provided_offset: provided } = details
  return { ...about('mismatching-upload-offset'), 'expected-offset': expected, 'provided-offset': provided }
}
