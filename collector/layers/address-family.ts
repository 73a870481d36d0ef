import { DROP_NOT_IP } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodeIpv4 } from './ipv4.ts'
import { decodeIpv6 } from './ipv6.ts'

const AF_INET = 2
/** AF_INET6 of Linux, of NetBSD and OpenBSD, of FreeBSD, and of Darwin. */
const AF_INET6: readonly number[] = [10, 24, 28, 30]

/** What a header names by the address family of the host that recorded it. */
export function decodeAddressFamily(
  bytes: Uint8Array,
  offset: number,
  end: number,
  family: number,
  packet: Packet,
): void {
  if (family === AF_INET) decodeIpv4(bytes, offset, end, packet)
  else if (AF_INET6.includes(family)) decodeIpv6(bytes, offset, end, packet)
  else packet.drop = DROP_NOT_IP
}
