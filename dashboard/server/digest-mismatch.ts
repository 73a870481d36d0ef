import { TelescopeError } from '../../schemas/errors.ts'

/**
 * The body is not the one that the request names.
 * @param byteCount of the body, where it is known
 */
export function digestMismatch(expected: string, actual: string, byteCount: number | null = null): TelescopeError {
  return new TelescopeError(
    'DIGEST_MISMATCH',
    `body has SHA-256 ${actual}, the request names ${expected}; it was changed on the way or is another file: send it again, with the SHA-256 of what is sent`,
    { expected, actual, byte_count: byteCount },
  )
}
