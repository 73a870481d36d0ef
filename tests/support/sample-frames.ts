import { concat, ethernet, hex, icmp, ipv4, ipv6, tcp, udp } from './frame-builder.ts'

/** Ethernet frames with what lies between Ethernet and ports: options, tags, MPLS, PPPoE, extension headers, LLC. */
export const SAMPLE_FRAMES: readonly Uint8Array[] = [
  ethernet(0x0800, ipv4({}, tcp({ options: hex('020405b40402080a000000010000000001030307') }))),
  ethernet(0x8100, concat(hex('0007 0800'), ipv4({ protocol: 17, options: hex('94040000') }, udp(53, 40000)))),
  ethernet(0x8847, concat(hex('00010040 00020140'), ipv4({ protocol: 1 }, icmp(3, 3, ipv4({}, tcp()))))),
  ethernet(0x8864, concat(hex('1100 0001 003e 0057'), ipv6({ next: 0 }, concat(hex('0600c20400000014'), tcp())))),
  ethernet(0x86dd, ipv6({ next: 44 }, concat(hex('3a00 0001 12345678'), icmp(1, 4, ipv6({}, tcp()))))),
  ethernet(0x894f, concat(hex('0fc2 0101 00000000'), ipv4({}, tcp()))),
  ethernet(60, concat(hex('aaaa03 000000 0800'), ipv4({}, tcp()))),
]
