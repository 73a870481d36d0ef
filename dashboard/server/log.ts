import { isIP } from 'node:net'
import type { FastifyRequest, FastifyServerOptions } from 'fastify'
import type { LOG_FORMATS, LOG_LEVELS } from '../../schemas/hub-config.ts'

type Logger = NonNullable<FastifyServerOptions['logger']>

/** The line as it is written, without its end. */
type Line = Readonly<Record<string, unknown>>

/**
 * The hub's log on standard error. JSON is one object a line, so no text from outside can forge a line; text is for
 * people. Neither holds a credential or an address: requests are logged by their route, and what looks like a
 * credential or an address is cut out of whatever else is said.
 */
export function hubLogger(
  level: (typeof LOG_LEVELS)[number],
  format: (typeof LOG_FORMATS)[number],
  output: { readonly isTTY?: boolean; write(text: string): unknown } = process.stderr,
): Logger {
  const isText = format === 'text' || (format === 'auto' && output.isTTY === true)
  return {
    level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: label => ({ level: label }) },
    serializers: {
      // fastify's own would name the URL, and with it whatever a caller put there.
      req: () => ({}),
      res: () => ({}) as { statusCode: number },
      err: error => ({ type: error.name, code: error.code, message: error.message, stack: error.stack ?? '' }),
    },
    stream: {
      write: (line: string) => {
        const clean = redact(line.trimEnd())
        output.write(`${isText ? textLine(JSON.parse(clean) as Line) : clean}\n`)
      },
    },
  }
}

const REDACTED = '[redacted]'
/** Tokens and sign-in links of ours, whatever follows an authorization scheme, signatures of RFC 9421, private keys. */
const CREDENTIALS =
  /hirundo_[\w-]+|\b(?:Bearer|Basic|Digest)\s+[^\s"\\]+|=:[A-Za-z0-9+/]{20,}={0,2}:|-----BEGIN[^"]*?-----END [A-Z ]+-----/g
/** What can be an address; `isIP` decides. */
const ADDRESS_LIKE = /[0-9a-fA-F:.]{3,}/g

/** Takes credentials and IP addresses out of a text. */
function redact(text: string): string {
  return text.replace(CREDENTIALS, REDACTED).replace(ADDRESS_LIKE, word => (isAddress(word) ? '[address]' : word))
}

/** With a full stop, a colon or a port behind it, too. */
function isAddress(word: string): boolean {
  const bare = word.replace(/[:.]+$/, '')
  return isIP(bare) !== 0 || isIP(bare.replace(/:\d+$/, '')) !== 0
}

/** The shortest text that is cut out of an error because it stood in the request. */
const ECHO_CHARACTERS_MIN = 6

/**
 * An error for the log, without what the caller of the request sent: text of an error may quote a value, and a value
 * may be a secret that was put into the wrong place.
 */
export function withoutEcho(error: unknown, { headers, query, params, body, url }: FastifyRequest): object {
  const { message, stack, code } = (error instanceof Error ? error : { message: String(error) }) as Error & {
    code?: unknown
  }
  const echoes = [...new Set([url, ...textsOf([headers, query, params, body])])]
    .filter(text => text.length >= ECHO_CHARACTERS_MIN)
    .sort((a, b) => b.length - a.length)
  const clean = (text: string) => echoes.reduce((rest, echo) => rest.replaceAll(echo, REDACTED), text)
  return { code, message: clean(message), stack: clean(stack ?? '') }
}

function textsOf(value: unknown): string[] {
  // Its words, too: a token stands behind the name of a scheme or of a cookie.
  if (typeof value === 'string') return [value, ...value.split(/[\s=;,"]+/)]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsOf) : []
}

const LEVEL_COLUMN = 5

/** `10:21:05 info  received capture of my-1: 4 120 bytes (3f0a…)`, an error with its stack below. */
function textLine({ time, level, msg, err, reqId }: Line): string {
  const head = `${String(time).slice(11, 19)} ${String(level).padEnd(LEVEL_COLUMN)} ${msg ?? ''}`
  const request = reqId === undefined || level === 'info' ? '' : ` (request ${reqId})`
  const { stack } = (err ?? {}) as { stack?: string }
  const lines = [`${head}${request}`, ...(stack ? stack.split('\n').map(line => `  ${line}`) : [])]
  return lines.map(line => line.replaceAll(/\p{Cc}/gu, '?')).join('\n')
}
