import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { TelescopeError } from '../../schemas/errors.ts'

/** What a server with TLS is made with, and a running one is given anew. */
export interface TlsFiles {
  readonly cert: string
  readonly key: string
}

/** RFC 9325: nothing older is offered. */
export const TLS_VERSION_MIN = 'TLSv1.2'

/**
 * Reads certificate and key and holds them against each other, so that a wrong pair is told at once and not by each
 * client.
 * @throws TLS_INVALID
 */
export function readTlsFiles(certificate: string, key: string): TlsFiles {
  const files = { cert: readPem(certificate), key: readPem(key) }
  try {
    const first = new X509Certificate(files.cert)
    if (!first.checkPrivateKey(createPrivateKey(files.key))) {
      throw new TelescopeError('TLS_INVALID', `TLS key ${key} is not the key of the certificate ${certificate}`)
    }
    createSecureContext(files)
  } catch (error) {
    if (error instanceof TelescopeError) throw error
    // OpenSSL's own words are not for people; the code says which it was.
    const { code } = error as NodeJS.ErrnoException
    throw new TelescopeError(
      'TLS_INVALID',
      `TLS certificate ${certificate} or key ${key} is no PEM that can be read (${code ?? (error as Error).message})`,
      { path: certificate },
      error,
    )
  }
  return files
}

function readPem(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new TelescopeError('TLS_INVALID', `TLS file ${path} cannot be read (${code})`, { path }, error)
  }
}
