import { udpProbeNumber } from '../../schemas/udp-probe.ts'

/** Requests to an NTP server, told apart by mode (RFC 5905 section 7.3). Rules: UDP_PROBES. */

const NONE = udpProbeNumber('none')
const NTP_CLIENT = udpProbeNumber('ntp-client')
const NTP_CONTROL = udpProbeNumber('ntp-control')
const NTP_MONLIST = udpProbeNumber('ntp-monlist')
const NTP_PRIVATE = udpProbeNumber('ntp-private')

const MODE_CLIENT = 3
const MODE_CONTROL = 6
const MODE_PRIVATE = 7
const CLIENT_BYTES_MIN = 48
/** Response, error and more (RFC 9327 section 2). */
const CONTROL_NOT_REQUEST = 0xe0
/** Response and more, in the first byte of a mode 7 packet. */
const PRIVATE_NOT_REQUEST = 0xc0

/** @param length bytes of the payload as sent */
export function ntpProbe(bytes: Uint8Array, offset: number, end: number, length: number): number {
  const first = bytes[offset]!
  const version = (first >> 3) & 7
  if (version < 1 || version > 4) return NONE
  switch (first & 7) {
    case MODE_CLIENT:
      return length >= CLIENT_BYTES_MIN ? NTP_CLIENT : NONE
    case MODE_CONTROL:
      return end - offset >= 2 && (bytes[offset + 1]! & CONTROL_NOT_REQUEST) === 0 ? NTP_CONTROL : NONE
    case MODE_PRIVATE:
      return (first & PRIVATE_NOT_REQUEST) !== 0 ? NONE : isMonlist(bytes, offset, end) ? NTP_MONLIST : NTP_PRIVATE
    default:
      return NONE
  }
}

function isMonlist(bytes: Uint8Array, offset: number, end: number): boolean {
  if (end - offset < 4) return false
  const implementation = bytes[offset + 2]!
  const request = bytes[offset + 3]!
  return (implementation === 2 || implementation === 3) && (request === 20 || request === 42)
}
