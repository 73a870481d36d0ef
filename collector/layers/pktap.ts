import { DROP_LINK_HEADER_TRUNCATED, DROP_LINK_TYPE_UNSUPPORTED, DROP_NOT_IP } from '../drop.ts'
import { LINK_ETHERNET, LINK_NULL, LINK_RAW_BSD } from '../link-type.ts'
import type { Packet } from '../packet.ts'
import { le32 } from '../word.ts'
import { decodeEthernet } from './ethernet.ts'
import { decodeLoopback } from './loopback.ts'
import { decodeRawIp } from './raw-ip.ts'

/** Length, record type, link type. */
const HEADER_BYTES_MIN = 12
const RECORD_PACKET = 1

/** LINKTYPE_PKTAP of Darwin: a little-endian header that names the link type of what follows it. */
export function decodePktap(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  const headerBytes = end - offset < HEADER_BYTES_MIN ? HEADER_BYTES_MIN : le32(bytes, offset)
  if (end - offset < headerBytes) {
    packet.drop = DROP_LINK_HEADER_TRUNCATED
    return
  }
  if (headerBytes < HEADER_BYTES_MIN || le32(bytes, offset + 4) !== RECORD_PACKET) {
    packet.drop = DROP_NOT_IP
    return
  }
  const linkType = le32(bytes, offset + 8)
  const frame = offset + headerBytes
  if (linkType === LINK_ETHERNET) decodeEthernet(bytes, frame, end, packet)
  else if (linkType === LINK_RAW_BSD) decodeRawIp(bytes, frame, end, packet)
  else if (linkType === LINK_NULL) decodeLoopback(bytes, frame, end, packet)
  else packet.drop = DROP_LINK_TYPE_UNSUPPORTED
}
