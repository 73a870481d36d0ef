import { mapRow, type OurRow, type TsharkRow } from './tshark.ts'

// tshark's fields of the innermost packet. With all occurrences of each field, the n-th layer of a protocol has the
// n-th value of the fields that each such layer has.

/** What tshark looks into and we are not asked to: quotations, and tunnels of other kinds. */
const NOT_LOOKED_INTO = new Set(['icmp', 'icmpv6', 'teredo', 'gtp', 'l2tp', 'esp', 'udpencap', 'sctp', 'tcp', 'dns'])

/**
 * A row that was made with all occurrences, as our columns of the innermost packet.
 * @param index number of the packet
 */
export function mapInnermostRow(row: TsharkRow, index: number): Partial<OurRow> {
  const layers = row['frame.protocols'].split(':')
  const last = layers.findIndex(layer => NOT_LOOKED_INTO.has(layer))
  const reached = last < 0 ? layers : layers.slice(0, last)
  const ipAt = Math.max(reached.lastIndexOf('ip'), reached.lastIndexOf('ipv6'))
  // An inner frame without IP (ARP in VXLAN) is what the packet is then.
  const linkAt = reached.lastIndexOf('eth')
  const isWithoutIp = ipAt < 0 || (linkAt > ipAt && reached.slice(linkAt).includes('arp'))
  const inner = isWithoutIp ? [] : layers.slice(ipAt)
  const before = isWithoutIp ? layers : layers.slice(0, ipAt)
  const countBefore = (name: string): number => before.filter(layer => layer === name).length
  const picked = Object.fromEntries(
    Object.entries(row).map(([field, value]) => {
      const protocol = field.split('.')[0]!
      if (protocol === 'frame') return [field, value]
      // IPv6 headers have an ip.version, too.
      const others = field === 'ip.version' ? countBefore('ipv6') : 0
      return [field, value.split(',')[countBefore(protocol) + others] ?? '']
    }),
  ) as TsharkRow
  return mapRow({ ...picked, 'frame.protocols': inner.join(':') }, index)
}
