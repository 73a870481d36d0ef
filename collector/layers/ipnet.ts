import { DROP_LINK_HEADER_TRUNCATED, DROP_NOT_IP } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodeIpv4 } from './ipv4.ts'
import { decodeIpv6 } from './ipv6.ts'

const IPNET_HEADER_BYTES = 24
/** Address families of Solaris. */
const AF_INET = 2
const AF_INET6 = 26

/** LINKTYPE_IPNET: the observability header of Solaris (ipnet(7D)); its second byte is the address family. */
export function decodeIpnet(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  if (end - offset < IPNET_HEADER_BYTES) {
    packet.drop = DROP_LINK_HEADER_TRUNCATED
    return
  }
  const family = bytes[offset + 1]
  if (family === AF_INET) decodeIpv4(bytes, offset + IPNET_HEADER_BYTES, end, packet)
  else if (family === AF_INET6) decodeIpv6(bytes, offset + IPNET_HEADER_BYTES, end, packet)
  else packet.drop = DROP_NOT_IP
}
