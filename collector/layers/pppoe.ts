import { DROP_LINK_HEADER_TRUNCATED } from '../drop.ts'
import type { Packet } from '../packet.ts'
import { decodePppProtocol } from './ppp.ts'

const PPPOE_HEADER_BYTES = 6

/** PPPoE session stage (RFC 2516 section 6): version and type, code, session, length, then a PPP protocol field. */
export function decodePppoeSession(bytes: Uint8Array, offset: number, end: number, packet: Packet): void {
  if (end - offset < PPPOE_HEADER_BYTES) {
    packet.drop = DROP_LINK_HEADER_TRUNCATED
    return
  }
  decodePppProtocol(bytes, offset + PPPOE_HEADER_BYTES, end, packet)
}
