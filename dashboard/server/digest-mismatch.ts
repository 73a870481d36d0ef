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

/** A body whose length alone says that it is not what was received under the digest before. */
export function otherLength(
  { sha256, byte_count }: { readonly sha256: string; readonly byte_count: number },
  length: number,
): TelescopeError {
  return new TelescopeError(
    'DIGEST_MISMATCH',
    `body has ${length} bytes, and what was received with the SHA-256 ${sha256} has ${byte_count}; it is another file: send it with its own SHA-256`,
    { expected: byte_count, actual: length },
  )
}
