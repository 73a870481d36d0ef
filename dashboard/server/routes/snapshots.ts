import type { FastifyInstance } from 'fastify'
import { TelescopeError } from '../../../schemas/errors.ts'
import type { ServerParts } from '../server-parts.ts'
import { REQUEST_MILLISECONDS } from '../time-limits.ts'

/**
 * Freezes the data for `backup` and `verify`. Only through the socket in the data folder: it makes files there, and
 * whoever asks has to be able to read and remove them.
 */
export function addSnapshotRoute(app: FastifyInstance, { freeze }: ServerParts): void {
  app.post(
    '/api/v1/snapshots',
    {
      config: { access: 'administer' },
      handlerTimeout: REQUEST_MILLISECONDS,
      schema: {
        summary: 'Freeze the data for a backup; on the machine of the hub only.',
        response: { 201: { type: 'object', required: ['path'], properties: { path: { type: 'string' } } } },
      },
    },
    async (request, reply) => {
      if (request.subject.credential !== 'socket') {
        throw new TelescopeError(
          'FORBIDDEN',
          'snapshot is made on the machine of the hub alone; run hirundo backup there',
        )
      }
      // A large catalog takes longer to copy than a connection may be quiet.
      request.raw.socket.setTimeout(0)
      reply.code(201)
      return { path: await freeze() }
    },
  )
}
