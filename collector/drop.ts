import { DROP_REASON_NAMES } from '../schemas/drop-reason.ts'

/** Drop reasons as the numbers that `Packet.drop` holds. */
export const DROP_NONE = -1
export const DROP_LINK_TYPE_UNSUPPORTED = DROP_REASON_NAMES.indexOf('link_type_unsupported')
export const DROP_LINK_HEADER_TRUNCATED = DROP_REASON_NAMES.indexOf('link_header_truncated')
export const DROP_NOT_IP = DROP_REASON_NAMES.indexOf('not_ip')
export const DROP_IP_VERSION_INVALID = DROP_REASON_NAMES.indexOf('ip_version_invalid')
export const DROP_IP_HEADER_TRUNCATED = DROP_REASON_NAMES.indexOf('ip_header_truncated')
export const DROP_IP_HEADER_INVALID = DROP_REASON_NAMES.indexOf('ip_header_invalid')
export const DROP_NOT_FOR_TELESCOPE = DROP_REASON_NAMES.indexOf('not_for_telescope')
export const DROP_FROM_TELESCOPE = DROP_REASON_NAMES.indexOf('from_telescope')
export const DROP_TRANSPORT_TRUNCATED = DROP_REASON_NAMES.indexOf('transport_truncated')
export const DROP_INTERFACE_UNKNOWN = DROP_REASON_NAMES.indexOf('interface_unknown')
export const DROP_TIME_INVALID = DROP_REASON_NAMES.indexOf('time_invalid')
export const DROP_TUNNEL_HEADER_TRUNCATED = DROP_REASON_NAMES.indexOf('tunnel_header_truncated')
export const DROP_IP_CHECKSUM_INVALID = DROP_REASON_NAMES.indexOf('ip_checksum_invalid')
export const DROP_TRANSPORT_CHECKSUM_INVALID = DROP_REASON_NAMES.indexOf('transport_checksum_invalid')
