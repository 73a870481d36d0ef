import { expect, test } from 'vitest'
import { icmpService, PROTOCOL } from '../../schemas/protocol.ts'
import { serviceName } from '../../schemas/service-names.ts'

test.each([
  [PROTOCOL.tcp, 23, 'telnet'],
  [PROTOCOL.udp, 53, 'domain'],
  [PROTOCOL.tcp, 514, 'shell'],
  [PROTOCOL.udp, 514, 'syslog'],
  [PROTOCOL.icmp, icmpService(8, 0), 'Echo'],
  [PROTOCOL.icmp, icmpService(3, 13), 'Destination Unreachable'],
  [PROTOCOL.icmpv6, icmpService(128, 0), 'Echo Request'],
  [PROTOCOL.tcp, 37_215, null],
  [PROTOCOL.tcp, 2048, null],
  [47, 23, null],
])('protocol %i, service %i: %s', (protocol, service, name) => {
  expect(serviceName(protocol, service)).toBe(name)
})
