import type { FastifyServerOptions } from 'fastify'
import { TelescopeError } from '../../schemas/errors.ts'

export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug'] as const

/**
 * The hub's log: one JSON object a line on standard error, so no text from outside can forge a line. Credentials are
 * cut out, wherever a request is logged.
 * @throws USAGE for an unknown level
 */
export function hubLogger(level: string): NonNullable<FastifyServerOptions['logger']> {
  if (!(LOG_LEVELS as readonly string[]).includes(level)) {
    throw new TelescopeError('USAGE', `log level "${level}" is unknown; there are ${LOG_LEVELS.join(', ')}`)
  }
  return {
    level,
    stream: process.stderr,
    redact: ['req.headers.authorization', 'req.headers.cookie', 'res.headers["set-cookie"]'],
  }
}
