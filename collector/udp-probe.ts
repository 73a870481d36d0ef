import { udpProbeNumber } from '../schemas/udp-probe.ts'
import { berProbe, SEQUENCE } from './probes/ber.ts'
import { dnsProbe, mdnsProbe, netbiosProbe } from './probes/dns.ts'
import { ntpProbe } from './probes/ntp.ts'
import {
  appleRemoteDesktopProbe,
  bacnetProbe,
  coapProbe,
  gtpProbe,
  mssqlProbe,
  natPmpProbe,
  radiusProbe,
  ripProbe,
  rmcpProbe,
  rpcProbe,
  slpProbe,
  ubiquitiProbe,
  xdmcpProbe,
} from './probes/service.ts'
import {
  dtlsProbe,
  ikeProbe,
  l2tpProbe,
  openvpnProbe,
  quicProbe,
  rdpudpProbe,
  stunProbe,
  wireguardProbe,
} from './probes/session.ts'
import { dhtProbe, gameProbe, memcachedProbe, textProbe, tftpProbe, wsDiscoveryProbe } from './probes/text.ts'
import { be16, be32 } from './word.ts'

/**
 * Names a UDP request by its first bytes (schemas/udp-probe.ts). A short signature counts only on the port of its
 * service, a long one on any port. The port is tried first, then the first byte leads to the few rules that can fit.
 */

const NONE = udpProbeNumber('none')
const EMPTY = udpProbeNumber('empty')
const ONE_BYTE = udpProbeNumber('one-byte')
const CHARGEN = udpProbeNumber('chargen')
const QOTD = udpProbeNumber('qotd')

const UDP_HEADER_BYTES = 8
const CHARGEN_PORT = 19
const QOTD_PORT = 17

/**
 * The probe in the payload bytes[offset, end), as its number in UDP_PROBE_NAMES; nothing at or past `end` is read,
 * nothing is allocated.
 * @param offset first byte after the UDP header, which lies in the 8 bytes before it; past `end` when the header itself
 *   was cut
 * @param end first byte past what was captured of the IP payload
 */
export function udpProbe(bytes: Uint8Array, offset: number, end: number, dstPort: number): number {
  if (offset > end) return NONE
  const udpLength = be16(bytes, offset - 4)
  // Below 8 it is forged, or the packet is a jumbogram (RFC 2675): what was captured has to do.
  const length = udpLength < UDP_HEADER_BYTES ? end - offset : udpLength - UDP_HEADER_BYTES
  const payloadEnd = length < end - offset ? offset + length : end
  if (payloadEnd === offset) return udpLength === UDP_HEADER_BYTES ? shortProbe(dstPort, EMPTY) : NONE
  const probe = portProbe(bytes, offset, payloadEnd, length, dstPort)
  if (probe !== NONE) return probe
  return length === 1 ? shortProbe(dstPort, ONE_BYTE) : anyPortProbe(bytes, offset, payloadEnd, length, dstPort)
}

function shortProbe(dstPort: number, otherwise: number): number {
  return dstPort === CHARGEN_PORT ? CHARGEN : dstPort === QOTD_PORT ? QOTD : otherwise
}

/** Rules that need their port. The ports are constants, so that this is a search in a sorted list. */
function portProbe(bytes: Uint8Array, offset: number, end: number, length: number, dstPort: number): number {
  switch (dstPort) {
    case 53:
      return dnsProbe(bytes, offset, end)
    case 69:
      return tftpProbe(bytes, offset, end)
    case 123:
      return ntpProbe(bytes, offset, end, length)
    case 137:
      return netbiosProbe(bytes, offset, end)
    case 177:
      return xdmcpProbe(bytes, offset, end, length)
    case 427:
      return slpProbe(bytes, offset, end, length)
    case 500:
    case 4500:
      return ikeProbe(bytes, offset, end, dstPort)
    case 520:
      return ripProbe(bytes, offset, end, length)
    case 1194:
      return openvpnProbe(bytes, offset, length)
    case 1434:
      return mssqlProbe(bytes, offset, end, length)
    case 1645:
    case 1812:
      return radiusProbe(bytes, offset, end, length)
    case 1701:
      return l2tpProbe(bytes, offset, end)
    case 2123:
    case 2152:
    case 3386:
      return gtpProbe(bytes, offset, end, length)
    case 3283:
      return appleRemoteDesktopProbe(bytes, offset, end)
    case 3389:
    case 3391:
      return rdpudpProbe(bytes, offset, end)
    case 3702:
      return wsDiscoveryProbe(bytes, offset, end)
    case 5351:
      return natPmpProbe(bytes, offset, end, length)
    case 5353:
      return mdnsProbe(bytes, offset, end)
    case 5683:
      return coapProbe(bytes, offset, end)
    case 10_001:
      return ubiquitiProbe(bytes, offset, end, length)
    case 11_211:
      return memcachedProbe(bytes, offset, end)
    default:
      return NONE
  }
}

/** Rules whose bytes are enough by themselves. */
function anyPortProbe(bytes: Uint8Array, offset: number, end: number, length: number, dstPort: number): number {
  const probe = firstByteProbe(bytes, offset, end, length, dstPort)
  return probe === NONE ? rpcProbe(bytes, offset, end) : probe
}

function firstByteProbe(bytes: Uint8Array, offset: number, end: number, length: number, dstPort: number): number {
  const first = bytes[offset]!
  switch (first) {
    case 0x00:
      return stunProbe(bytes, offset, end)
    case 0x01:
      return wireguardProbe(bytes, offset, end, length)
    case 0x06:
      return rmcpProbe(bytes, offset, end)
    case 0x16:
      return dtlsProbe(bytes, offset, end)
    case SEQUENCE:
      return berProbe(bytes, offset, end)
    case 0x49: // I
    case 0x4d: // M
    case 0x4f: // O
    case 0x52: // R
    case 0x54: // T
      return textProbe(bytes, offset, end)
    case 0x64: // d
      return dhtProbe(bytes, offset, end)
    case 0x81:
      return bacnetProbe(bytes, offset, end, length)
    default:
      if (first < 0xc0) return NONE
      if (first === 0xff && end - offset > 4 && be32(bytes, offset) === 0xffff_ffff) {
        return gameProbe(bytes, offset + 4, end)
      }
      return quicProbe(bytes, offset, end, dstPort)
  }
}
