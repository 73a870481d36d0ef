import { udpProbeNumber } from '../../schemas/udp-probe.ts'
import { be16, be32 } from '../word.ts'

/** First packets of protocols that keep a session: tunnels, encrypted transports, STUN. Rules: UDP_PROBES. */

const NONE = udpProbeNumber('none')
const QUIC_INITIAL = udpProbeNumber('quic-initial')
const QUIC_VERSION = udpProbeNumber('quic-version')
const STUN = udpProbeNumber('stun-binding')
const DTLS = udpProbeNumber('dtls-client-hello')
const IKE_V1 = udpProbeNumber('ike-v1')
const IKE_V2 = udpProbeNumber('ike-v2')
const OPENVPN = udpProbeNumber('openvpn-reset')
const WIREGUARD = udpProbeNumber('wireguard-init')
const L2TP = udpProbeNumber('l2tp-sccrq')
const RDPUDP = udpProbeNumber('rdpudp-syn')

/** A server's Initial goes to the client's ephemeral port and looks the same. */
const QUIC_PORT_MAX = 32_767
const QUIC_ID_BYTES_MAX = 20
/** RFC 9000 section 7.2: a client chooses at least so many. */
const QUIC_ID_BYTES_MIN = 8
const QUIC_VERSION_1 = 1
const QUIC_VERSION_2 = 0x6b33_43cf
const QUIC_DRAFT = 0xff_0000
/** Type bits of an Initial: 0, in version 2 they are 1 (RFC 9369 section 3.2). */
const QUIC_INITIAL_TYPE = 0
const QUIC_2_INITIAL_TYPE = 1

/** A payload whose two highest bits are set: long header and fixed bit. */
export function quicProbe(bytes: Uint8Array, offset: number, end: number, dstPort: number): number {
  if (end - offset < 6 || dstPort > QUIC_PORT_MAX) return NONE
  const idBytes = bytes[offset + 5]!
  if (idBytes > QUIC_ID_BYTES_MAX) return NONE
  const version = be32(bytes, offset + 1)
  if ((version & 0x0f0f_0f0f) === 0x0a0a_0a0a) return QUIC_VERSION
  if (idBytes < QUIC_ID_BYTES_MIN) return NONE
  const type = (bytes[offset]! >> 4) & 3
  if (version === QUIC_VERSION_2) return type === QUIC_2_INITIAL_TYPE ? QUIC_INITIAL : NONE
  const isKnown = version === QUIC_VERSION_1 || version >>> 8 === QUIC_DRAFT
  return isKnown && type === QUIC_INITIAL_TYPE ? QUIC_INITIAL : NONE
}

const STUN_BINDING_REQUEST = 1
const STUN_COOKIE = 0x2112_a442

export function stunProbe(bytes: Uint8Array, offset: number, end: number): number {
  if (end - offset < 8 || be16(bytes, offset) !== STUN_BINDING_REQUEST) return NONE
  return (bytes[offset + 3]! & 3) === 0 && be32(bytes, offset + 4) === STUN_COOKIE ? STUN : NONE
}

/** DTLS 1.0 and 1.2; 1.3 says 1.2 in a ClientHello (RFC 9147 section 5.3). */
const DTLS_1_0 = 0xfeff
const DTLS_1_2 = 0xfefd
const DTLS_RECORD_HEADER_BYTES = 13
const CLIENT_HELLO = 1

export function dtlsProbe(bytes: Uint8Array, offset: number, end: number): number {
  if (end - offset <= DTLS_RECORD_HEADER_BYTES) return NONE
  const version = be16(bytes, offset + 1)
  if ((version !== DTLS_1_0 && version !== DTLS_1_2) || be16(bytes, offset + 3) !== 0) return NONE
  return bytes[offset + DTLS_RECORD_HEADER_BYTES] === CLIENT_HELLO ? DTLS : NONE
}

const IKE_MAIN_MODE = 2
const IKE_AGGRESSIVE_MODE = 4
const IKE_SA_INIT = 34

export function ikeProbe(bytes: Uint8Array, offset: number, end: number, dstPort: number): number {
  // On port 4500 a zero word tells IKE from ESP (RFC 3948 section 2.2); not every prober writes it.
  const isMarked = dstPort === 4500 && end - offset >= 4 && be32(bytes, offset) === 0
  const at = isMarked ? offset + 4 : offset
  if (end - at < 19 || (be32(bytes, at + 8) | be32(bytes, at + 12)) !== 0) return NONE
  const version = bytes[at + 17]!
  const exchange = bytes[at + 18]!
  if (version === 0x10) return exchange === IKE_MAIN_MODE || exchange === IKE_AGGRESSIVE_MODE ? IKE_V1 : NONE
  return version === 0x20 && exchange === IKE_SA_INIT ? IKE_V2 : NONE
}

/** The opcode stands in the upper five bits, the key number below. */
const OPENVPN_RESET_V1 = 1 << 3
const OPENVPN_RESET_V2 = 7 << 3
const OPENVPN_RESET_V3 = 10 << 3
/** Opcode, session, length of the acknowledgements, packet number make 14; nmap sends one byte less. */
const OPENVPN_BYTES_MIN = 13

/** @param length bytes of the payload as sent */
export function openvpnProbe(bytes: Uint8Array, offset: number, length: number): number {
  const first = bytes[offset]!
  const isReset = first === OPENVPN_RESET_V2 || first === OPENVPN_RESET_V1 || first === OPENVPN_RESET_V3
  return isReset && length >= OPENVPN_BYTES_MIN ? OPENVPN : NONE
}

const WIREGUARD_INITIATION = 0x0100_0000
const WIREGUARD_INITIATION_BYTES = 148

/** @param length bytes of the payload as sent */
export function wireguardProbe(bytes: Uint8Array, offset: number, end: number, length: number): number {
  if (length !== WIREGUARD_INITIATION_BYTES || end - offset < 4) return NONE
  return be32(bytes, offset) === WIREGUARD_INITIATION ? WIREGUARD : NONE
}

/** Flags type, length and sequence, version 2. */
const L2TP_CONTROL = 0xc802
/** Mandatory, 8 bytes; vendor 0; attribute 0 (message type); SCCRQ. */
const L2TP_AVP_HEADER = 0x8008_0000
const L2TP_MESSAGE_SCCRQ = 1

export function l2tpProbe(bytes: Uint8Array, offset: number, end: number): number {
  if (end - offset < 20 || be16(bytes, offset) !== L2TP_CONTROL || be32(bytes, offset + 4) !== 0) return NONE
  const isMessageType = be32(bytes, offset + 12) === L2TP_AVP_HEADER
  return isMessageType && be32(bytes, offset + 16) === L2TP_MESSAGE_SCCRQ ? L2TP : NONE
}

const RDPUDP_SYN = 0x0001
const RDPUDP_ACK = 0x0004

export function rdpudpProbe(bytes: Uint8Array, offset: number, end: number): number {
  if (end - offset < 8 || be32(bytes, offset) !== 0xffff_ffff) return NONE
  return (be16(bytes, offset + 6) & (RDPUDP_SYN | RDPUDP_ACK)) === RDPUDP_SYN ? RDPUDP : NONE
}
