/**
 * Every error that a person or a program can meet, in one table. A code is never reused for another meaning.
 * The kind decides the exit status of a command; the status is what the hub answers.
 */

/** Who has to act: the caller (usage), whoever made the input, whoever runs the machine, or we ourselves. */
type ErrorKind = 'usage' | 'input' | 'operating' | 'bug'

interface ErrorEntry {
  readonly kind: ErrorKind
  /** HTTP status when the hub answers with this code. */
  readonly status: number
  readonly doc: string
}

export const ERROR_CODES = {
  // usage: the command or the request is put wrongly
  USAGE: { kind: 'usage', status: 400, doc: 'A command was called with wrong options or arguments.' },
  QUERY_INVALID: { kind: 'usage', status: 400, doc: 'A request has an unknown or unusable parameter.' },
  QUERY_RANGE_UNALIGNED: { kind: 'usage', status: 400, doc: 'since or until is not on a bucket boundary.' },
  QUERY_RANGE_TOO_WIDE: { kind: 'usage', status: 400, doc: 'More buckets were asked for than are served at once.' },
  ADDRESS_INVALID: { kind: 'usage', status: 400, doc: 'Not an IP address or CIDR prefix.' },
  TELESCOPE_TOO_LARGE: {
    kind: 'usage',
    status: 400,
    doc: 'A telescope has more prefixes or addresses than supported.',
  },
  SENSOR_ID_INVALID: {
    kind: 'usage',
    status: 400,
    doc: 'A sensor name is not lower-case letters, digits and hyphens.',
  },
  KEY_INVALID: {
    kind: 'usage',
    status: 400,
    doc: 'A key file does not hold one 256-bit key in hexadecimal, or others can read a file with a secret.',
  },
  IDENTITY_INVALID: {
    kind: 'usage',
    status: 400,
    doc: 'An identity file cannot be read, or does not name a sensor and its key or token.',
  },
  IDENTITY_EXISTS: { kind: 'usage', status: 409, doc: 'An identity file that was to be made is there already.' },
  CONFIG_INVALID: { kind: 'usage', status: 400, doc: 'A configuration file is no JSON, or a member of it is wrong.' },
  TLS_INVALID: {
    kind: 'usage',
    status: 400,
    doc: 'The certificate or key of the hub cannot be read, or do not belong together.',
  },
  NOT_FOUND: { kind: 'usage', status: 404, doc: 'No such page, resource or record.' },
  METHOD_NOT_ALLOWED: { kind: 'usage', status: 405, doc: 'The resource exists but does not take this method.' },
  HOST_NOT_ALLOWED: {
    kind: 'usage',
    status: 421,
    doc: 'The request names a host that the hub does not answer for (protection against DNS rebinding).',
  },
  UNAUTHENTICATED: {
    kind: 'usage',
    status: 401,
    doc: 'No token and no signature, or a token that is unknown or revoked.',
  },
  FORBIDDEN: { kind: 'usage', status: 403, doc: 'The token is valid but does not allow this.' },
  SIGNATURE_MALFORMED: {
    kind: 'usage',
    status: 401,
    doc: 'The signature of a request is not written as it must be, or does not cover what it must.',
  },
  SIGNATURE_INVALID: {
    kind: 'usage',
    status: 401,
    doc: 'The signature does not fit the request: something that it covers was changed, or another key made it.',
  },
  SIGNATURE_STALE: {
    kind: 'operating',
    status: 401,
    doc: 'The signature is more than 300 s old, and its key has signed newer requests since.',
  },
  SIGNATURE_REPLAYED: { kind: 'operating', status: 401, doc: 'The hub has taken this very signature before.' },
  CLOCK_OFF: {
    kind: 'operating',
    status: 401,
    doc: 'The clock of the sensor and that of the hub are more than 300 s apart.',
  },
  SENSOR_KEY_UNKNOWN: { kind: 'usage', status: 401, doc: 'The hub does not know the key that signed the request.' },
  SENSOR_KEY_REVOKED: {
    kind: 'usage',
    status: 401,
    doc: 'The key that signed the request was revoked, or another has taken its place.',
  },
  SENSOR_KEY_EXISTS: {
    kind: 'usage',
    status: 409,
    doc: 'A key that was to be made known is known already, for another sensor or as a revoked one.',
  },
  INVITATION_UNKNOWN: { kind: 'usage', status: 403, doc: 'The hub has made no such code, or has withdrawn it.' },
  INVITATION_USED: { kind: 'usage', status: 403, doc: 'Another key was enrolled with this code.' },
  INVITATION_EXPIRED: { kind: 'usage', status: 403, doc: 'The time of the code is over.' },
  INVITATION_OF_OTHER_SENSOR: { kind: 'usage', status: 403, doc: 'The code was made for another sensor.' },
  REQUESTS_TOO_MANY: {
    kind: 'operating',
    status: 429,
    doc: 'More requests of one kind came than the hub takes in that time.',
  },
  QUOTA_EXCEEDED: {
    kind: 'operating',
    status: 429,
    doc: 'The sensor has used up its share of the hub; Retry-After says when it has one again.',
  },
  SENSOR_UNKNOWN: { kind: 'usage', status: 404, doc: 'No sensor of this name is registered.' },
  SENSOR_EXISTS: { kind: 'usage', status: 409, doc: 'A sensor of this name is registered already.' },
  UPLOAD_FLOWS_GONE: {
    kind: 'usage',
    status: 409,
    doc: 'An upload cannot be withdrawn any more: flows of its hours are no longer kept, only their sums.',
  },
  SENSOR_HAS_UPLOADS: {
    kind: 'usage',
    status: 409,
    doc: 'The prefixes of a sensor cannot change while uploads of it are counted, held or on their way.',
  },
  UPLOAD_STATE: { kind: 'usage', status: 409, doc: 'What is asked cannot be done to an upload in its state.' },
  PREFIX_OVERLAPS: { kind: 'usage', status: 409, doc: 'A dark prefix overlaps one that another sensor has.' },
  CONTENT_TYPE_UNSUPPORTED: {
    kind: 'usage',
    status: 415,
    doc: 'The body is said to be of a media type that is no capture or batch.',
  },
  UPLOAD_OFFSET_MISMATCH: {
    kind: 'usage',
    status: 409,
    doc: 'An append begins elsewhere than where the hub is; the answer says where that is.',
  },
  HUB_UNREACHABLE: { kind: 'operating', status: 502, doc: 'The hub did not answer.' },

  // input: a capture, batch or body is damaged or is not what it says
  CAPTURE_EMPTY: { kind: 'input', status: 422, doc: 'The capture has no bytes at all.' },
  CAPTURE_FORMAT_UNKNOWN: {
    kind: 'input',
    status: 422,
    doc: 'Neither pcap, pcapng nor snoop, judged by the first bytes.',
  },
  CAPTURE_VERSION_UNSUPPORTED: { kind: 'input', status: 422, doc: 'A pcap or pcapng version that is not defined.' },
  CAPTURE_HEADER_INVALID: { kind: 'input', status: 422, doc: 'A file or section header contradicts itself.' },
  CAPTURE_TRUNCATED: { kind: 'input', status: 422, doc: 'The capture ends within a record or block.' },
  CAPTURE_RECORD_INVALID: { kind: 'input', status: 422, doc: 'A record or block has an impossible length.' },
  CAPTURE_CONCATENATED: { kind: 'input', status: 422, doc: 'Several pcap files were put one behind the other.' },
  CAPTURE_INTERFACE_UNKNOWN: {
    kind: 'input',
    status: 422,
    doc: 'A packet names an interface not described before it.',
  },
  CAPTURE_TIME_BACKWARDS: {
    kind: 'input',
    status: 422,
    doc: 'A warning: the time of packets goes back by more than a minute.',
  },
  CAPTURE_TIME_AHEAD: {
    kind: 'input',
    status: 422,
    doc: 'A warning: packets are more than a day ahead of the clock of the machine that collects.',
  },
  LINK_TYPE_UNSUPPORTED: {
    kind: 'input',
    status: 422,
    doc: 'No packet could be read: the link type is not supported.',
  },
  COMPRESSION_INVALID: { kind: 'input', status: 422, doc: 'Compressed data is damaged or cut short.' },
  COMPRESSION_UNSUPPORTED: {
    kind: 'input',
    status: 422,
    doc: 'Compressed data needs a dictionary, more memory or a method that is not supported; decompress it first.',
  },
  COMPRESSION_BOMB: { kind: 'input', status: 422, doc: 'Compressed data expands beyond the allowed ratio or size.' },
  CAPTURE_NOT_FOUND: { kind: 'input', status: 422, doc: 'A path names no file, or a directory without captures.' },
  CAPTURE_UNREADABLE: { kind: 'input', status: 422, doc: 'The operating system refused to open or read the file.' },
  CAPTURE_OFF_TELESCOPE: {
    kind: 'input',
    status: 422,
    doc: 'No packet in the capture is for an address of this telescope.',
  },
  CAPTURE_REWRITTEN: {
    kind: 'input',
    status: 422,
    doc: 'A capture that is read as it grows became shorter, or its beginning changed.',
  },
  TELESCOPE_UNKNOWN: { kind: 'input', status: 422, doc: 'No dark prefix could be told from the captures.' },
  BATCH_INVALID: { kind: 'input', status: 422, doc: 'Not an Arrow stream of flows as this schema version defines it.' },
  BATCH_VERSION_UNSUPPORTED: { kind: 'input', status: 422, doc: 'The batch was written with another schema version.' },
  BATCH_SENSOR_MISMATCH: {
    kind: 'input',
    status: 422,
    doc: 'The batch names another sensor than the one that sends it.',
  },
  BATCH_TELESCOPE_MISMATCH: {
    kind: 'input',
    status: 422,
    doc: 'The batch was collected for other dark addresses than its sensor is registered with.',
  },
  DIGEST_MISMATCH: { kind: 'input', status: 422, doc: 'The body does not have the SHA-256 that the request names.' },
  CAPTURE_OVERLAPS: {
    kind: 'input',
    status: 409,
    doc: 'An upload holds traffic that another upload of the sensor holds, too; it waits until its operator accepts or withdraws it.',
  },
  UPLOAD_DAYS_TOO_MANY: {
    kind: 'input',
    status: 422,
    doc: 'The packets of an upload are of more than 400 days; it has to be split, or its clock was wrong.',
  },
  UPLOAD_BYTES_GONE: { kind: 'input', status: 410, doc: 'The bytes of an upload are no longer kept.' },
  RECEIPT_INVALID: {
    kind: 'input',
    status: 422,
    doc: 'A receipt is not signed by the key of the hub, was changed, or is for another sensor.',
  },
  BODY_EMPTY: { kind: 'input', status: 400, doc: 'A body was expected and none came.' },
  BODY_TOO_LARGE: { kind: 'input', status: 413, doc: 'The body is larger than the hub accepts.' },
  BODY_CUT_SHORT: { kind: 'input', status: 400, doc: 'The connection ended before the body did.' },
  UPLOAD_LENGTH_INCONSISTENT: {
    kind: 'input',
    status: 400,
    doc: 'Requests of one resumable upload announce different lengths, or its bytes are more or fewer than announced.',
  },
  GEOGRAPHY_INVALID: { kind: 'input', status: 422, doc: 'A geography table cannot be read or is not CSV or MMDB.' },
  PARSE_FAILED: { kind: 'input', status: 422, doc: 'The parsing child died or took too long on this upload.' },
  BACKUP_INVALID: {
    kind: 'input',
    status: 422,
    doc: 'A backup is incomplete, damaged or of another version; or the folder holds something else.',
  },
  WEEK_WITHOUT_DATA: { kind: 'input', status: 422, doc: 'No sensor listened in the week that a report was asked for.' },

  // operating: the machine
  DISK_FULL: { kind: 'operating', status: 507, doc: 'Not enough free disk to keep what comes in.' },
  UPLOADS_TOO_MANY: {
    kind: 'operating',
    status: 429,
    doc: 'The sensor has begun more uploads, or more bytes of them, than may be unfinished at once.',
  },
  SPOOL_UNREADABLE: { kind: 'operating', status: 500, doc: 'The folder with batches to send cannot be read.' },
  OUTPUT_UNWRITABLE: { kind: 'operating', status: 500, doc: 'An output file or folder cannot be written.' },
  STATE_INVALID: {
    kind: 'operating',
    status: 500,
    doc: 'The file that says how far live reading has come, or how batches are numbered, cannot be read.',
  },
  STORAGE_FAILED: { kind: 'operating', status: 503, doc: 'The catalog or the lake could not be read or written.' },
  AUDIT_BROKEN: { kind: 'operating', status: 500, doc: 'An entry of the audit log is missing or was changed.' },
  DATA_IN_USE: { kind: 'operating', status: 503, doc: 'Another process has the data folder open.' },
  PORT_IN_USE: { kind: 'operating', status: 503, doc: 'The port is taken by another program.' },
  DATA_VERSION_UNSUPPORTED: {
    kind: 'operating',
    status: 503,
    doc: 'The data folder was written by another version of Hirundo.',
  },
  TIMED_OUT: { kind: 'operating', status: 503, doc: 'The answer took longer than the hub allows.' },
  NOT_READY: { kind: 'operating', status: 503, doc: 'The hub is starting or stopping.' },

  // bug
  INTERNAL: { kind: 'bug', status: 500, doc: 'A defect in Hirundo.' },
} as const satisfies Record<string, ErrorEntry>

export type ErrorCode = keyof typeof ERROR_CODES

/** Plain values that say where and what: file, offset, expected, actual. Never a sensor's dark address. */
export type ErrorDetails = Record<string, string | number | boolean | null>

/**
 * The one error class. The message is one lower-case line that starts with the thing, holds the values, and says
 * what to do where that is not obvious.
 */
export class TelescopeError extends Error {
  readonly code: ErrorCode
  readonly details: ErrorDetails

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'TelescopeError'
    this.code = code
    this.details = details
  }

  get kind(): ErrorKind {
    return ERROR_CODES[this.code].kind
  }

  get status(): number {
    return ERROR_CODES[this.code].status
  }
}

/** The shape of every error answer of the hub. */
export interface ErrorBody {
  error: { code: ErrorCode; message: string; details: ErrorDetails }
}

/** Exit status of a command that fails with this kind (0 is success). */
export const EXIT_STATUS: Record<ErrorKind, number> = { usage: 2, input: 3, operating: 1, bug: 1 }
