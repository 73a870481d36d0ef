import type { UploadKind } from '../../schemas/catalog.ts'
import { TelescopeError } from '../../schemas/errors.ts'

/** What the bytes are is told from the bytes; the media type only has to be one that a capture or batch may bear. */
const MEDIA_TYPES: Readonly<Record<UploadKind, readonly string[]>> = {
  capture: [
    'application/vnd.tcpdump.pcap',
    'application/x-pcapng',
    'application/pcap',
    'application/pcapng',
    'application/gzip',
    'application/zstd',
    'application/x-xz',
    'application/octet-stream',
  ],
  batch: ['application/vnd.apache.arrow.stream', 'application/gzip', 'application/octet-stream'],
}

/** What curl says of --data-binary and --form: the body then is no file, or not the file alone. */
const FORM_TYPES: ReadonlySet<string> = new Set(['application/x-www-form-urlencoded', 'multipart/form-data'])

/**
 * Refuses a body that says it is something else; one that does not say is taken.
 * @param header Content-Type as it came
 * @throws CONTENT_TYPE_UNSUPPORTED
 */
export function checkContentType(kind: UploadKind, header: string | undefined): void {
  if (header === undefined) return
  const type = mediaTypeOf(header)
  const known = MEDIA_TYPES[kind]
  if (known.includes(type)) return
  const advice = FORM_TYPES.has(type)
    ? 'send the file itself, one in each request: with curl --upload-file FILE instead of --data-binary or --form'
    : `${known.join(', ')}, or no content-type at all`
  throw contentTypeUnsupported(kind, header, advice)
}

/** @throws CONTENT_TYPE_UNSUPPORTED */
export function requireContentType(required: string, header: string | undefined): void {
  if (header !== undefined && mediaTypeOf(header) === required) return
  throw contentTypeUnsupported('append', header ?? '', required)
}

/** Lower case, without parameters. */
function mediaTypeOf(header: string): string {
  return header.split(';', 1)[0]!.trim().toLowerCase()
}

function contentTypeUnsupported(what: string, header: string, advice: string): TelescopeError {
  const shown = header.replace(/[^\x20-\x7e]/g, '?').slice(0, 100)
  return new TelescopeError(
    'CONTENT_TYPE_UNSUPPORTED',
    `${what} comes with content-type "${shown}", expected ${advice}`,
    { content_type: shown },
  )
}
