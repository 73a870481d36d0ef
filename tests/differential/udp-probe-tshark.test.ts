import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Packet } from '../../collector/packet.ts'
import { readCapture } from '../../collector/read-capture.ts'
import { UDP_PROBE_NAMES, type UdpProbeName } from '../../schemas/udp-probe.ts'
import { temporaryFolder } from '../support/data-folder.ts'
import { hasCommand, hasSharedCaptures, ROOT, requireExternal, SHARED_CAPTURES } from '../support/external.ts'

// Goal: a probe is named where tshark dissects that request, and nowhere else.
// Method: captures with UDP in one file, and one run of tshark over it. For each probe that tshark knows, a rule on
// its fields says when it must be named. Left out: what tshark calls malformed or does not dissect to its end, since
// our rules ask less, and ports that it has no dissector for or takes for those of a TFTP transfer.

const FIELDS = [
  'frame.number',
  'frame.protocols',
  '_ws.malformed',
  'udp.dstport',
  'udp.length',
  'ntp.flags.mode',
  'ntp.ctrl.flags2.r',
  'ntp.priv.flags.r',
  'ntp.priv.reqcode',
  'dns.flags.response',
  'dns.flags.opcode',
  'dns.count.queries',
  'dns.count.answers',
  'dns.count.auth_rr',
  'dns.qry.type',
  'dns.qry.name',
  'nbns.flags.response',
  'nbns.flags.opcode',
  'nbns.type',
  'snmp.version',
  'snmp.data',
  'snmp.msgVersion',
  'snmp.msgFlags',
  'http.request.method',
  'sip.Method',
  'sip.Request-Line',
  'tftp.opcode',
  'tftp.type',
  'coap.code',
  'coap.type',
  'asf.type',
  'isakmp.exchangetype',
  'isakmp.rspi',
  'isakmp.version',
  'rip.command',
  'rpc.msgtyp',
  'rpc.program',
  'rpc.procedure',
  'srvloc.version',
  'srvloc.function',
  'l2tp.avp.message_type',
  'radius.code',
  'xdmcp.opcode',
  'stun.type',
  'dtls.handshake.type',
  'ldap.protocolOp',
  'memcache.command',
  'quic.long.packet_type',
  'quic.version',
] as const
type Row = Record<(typeof FIELDS)[number], string>

const is = (row: Row, field: keyof Row, ...values: number[]): boolean =>
  row[field] !== '' && values.includes(Number(row[field]))
const has = (row: Row, protocol: string): boolean => row['frame.protocols'].split(':').includes(protocol)
const isRequest = (row: Row): boolean => /^(0|False)$/.test(row['dns.flags.response'])
const isNo = (value: string): boolean => /^(0|False)$/.test(value)

function dnsName(row: Row): UdpProbeName | null {
  if (!isRequest(row) || !is(row, 'dns.flags.opcode', 0) || has(row, 'mdns')) return null
  const hasOneQuestion =
    is(row, 'dns.count.queries', 1) && is(row, 'dns.count.answers', 0) && is(row, 'dns.count.auth_rr', 0)
  if (!is(row, 'udp.dstport', 53) || !hasOneQuestion) return null
  if (row['dns.qry.name'].toLowerCase() === 'version.bind') return 'dns-version-bind'
  return is(row, 'dns.qry.type', 255) ? 'dns-any' : 'dns-query'
}

function ntpName(row: Row): UdpProbeName | null {
  if (!has(row, 'ntp') || !is(row, 'udp.dstport', 123)) return null
  if (is(row, 'ntp.flags.mode', 3)) return 'ntp-client'
  if (is(row, 'ntp.flags.mode', 6)) return isNo(row['ntp.ctrl.flags2.r']) ? 'ntp-control' : null
  if (!is(row, 'ntp.flags.mode', 7) || !isNo(row['ntp.priv.flags.r'])) return null
  return is(row, 'ntp.priv.reqcode', 20, 42) ? 'ntp-monlist' : 'ntp-private'
}

function snmpName(row: Row): UdpProbeName | null {
  if (is(row, 'snmp.msgVersion', 3)) return Number(`0x${row['snmp.msgFlags']}`) & 4 ? 'snmp-v3-get' : null
  // tshark numbers the PDUs as their tags: 0 get, 1 get-next, 5 get-bulk.
  if (is(row, 'snmp.version', 0)) return is(row, 'snmp.data', 0, 1) ? 'snmp-v1-get' : null
  return is(row, 'snmp.version', 1) && is(row, 'snmp.data', 0, 1, 5) ? 'snmp-v2c-get' : null
}

function rpcName(row: Row): UdpProbeName | null {
  if (!is(row, 'rpc.msgtyp', 0)) return null
  if (!is(row, 'rpc.program', 100_000)) return 'rpc-call'
  return is(row, 'rpc.procedure', 4) ? 'rpc-portmap-dump' : 'rpc-portmap-call'
}

function netbiosName(row: Row): UdpProbeName | null {
  if (!isNo(row['nbns.flags.response']) || !is(row, 'nbns.flags.opcode', 0)) return null
  return is(row, 'nbns.type', 0x21) ? 'netbios-status' : is(row, 'nbns.type', 0x20) ? 'netbios-name-query' : null
}

function ikeName(row: Row): UdpProbeName | null {
  if (!/^0+$/.test(row['isakmp.rspi'])) return null
  if (is(row, 'isakmp.version', 0x10) && is(row, 'isakmp.exchangetype', 2, 4)) return 'ike-v1'
  return is(row, 'isakmp.version', 0x20) && is(row, 'isakmp.exchangetype', 34) ? 'ike-v2' : null
}

const SIP_NAMES: Readonly<Record<string, UdpProbeName>> = {
  OPTIONS: 'sip-options',
  REGISTER: 'sip-register',
  INVITE: 'sip-invite',
}

function otherName(row: Row): UdpProbeName | null {
  if (row['http.request.method'] === 'M-SEARCH') return 'ssdp-m-search'
  if (row['sip.Request-Line'] !== '' && row['sip.Method'] in SIP_NAMES) return SIP_NAMES[row['sip.Method']]!
  // Zeros in the place of a file name leave tshark without a mode.
  if (is(row, 'tftp.opcode', 1) && row['tftp.type'] !== '') return 'tftp-read'
  if (is(row, 'coap.code', 1) && is(row, 'coap.type', 0, 1)) return 'coap-get'
  if (is(row, 'asf.type', 0x80)) return 'rmcp-ping'
  if (is(row, 'rip.command', 1)) return 'rip-request'
  if (is(row, 'srvloc.function', 1, 6, 9)) return 'slp-request'
  if (is(row, 'l2tp.avp.message_type', 1)) return 'l2tp-sccrq'
  if (is(row, 'radius.code', 1)) return 'radius-access'
  if (is(row, 'xdmcp.opcode', 1, 2, 3)) return 'xdmcp-query'
  if (is(row, 'stun.type', 1)) return 'stun-binding'
  if (is(row, 'dtls.handshake.type', 1)) return 'dtls-client-hello'
  if (is(row, 'ldap.protocolOp', 3)) return 'cldap-search'
  if (has(row, 'mdns') && isRequest(row) && is(row, 'dns.flags.opcode', 0) && is(row, 'udp.dstport', 5353))
    return 'mdns-query'
  if (!is(row, 'udp.length', 8)) return null
  return is(row, 'udp.dstport', 19) ? 'chargen' : is(row, 'udp.dstport', 17) ? 'qotd' : 'empty'
}

function expectedName(row: Row): UdpProbeName | null {
  return (
    dnsName(row) ?? ntpName(row) ?? snmpName(row) ?? rpcName(row) ?? netbiosName(row) ?? ikeName(row) ?? otherName(row)
  )
}

/** tshark looks into tunnels and into what ICMP quotes; we look at the first IP header. */
function isCompared(row: Row): boolean {
  const protocols = row['frame.protocols']
  const isTransfer = has(row, 'tftp') && !is(row, 'udp.dstport', 69)
  // A call of a program that does not exist, and IKE on port 4500 without its marker.
  const isUnread = (has(row, 'rpc') && row['rpc.msgtyp'] === '') || has(row, 'esp')
  const isWhole = row['_ws.malformed'] === '' && !protocols.endsWith(':data') && !isTransfer && !isUnread
  return isWhole && /^eth:ethertype:ip(v6)?:udp/.test(protocols)
}

const SHARED =
  /^(ndpi__(NTPv[23]|6in4tunnel|coap_mqtt|custom_risk_mask|dos_win98_smb_netbeui|memcached|quic-33|rmcp|sip|sites|snmp|source_engine|srvloc|ssdp-m-search|syslog|tftp|upnp|zug)|slips__test7|stopddos__amp\.UDP\.snmp|suricata__nfs3|zeek__(portmapper|raw_packets|dns-inverse)|markofu__evilprogram|masscan__flush)/
const OURS = /^(nmap-udp.*|masscan-udp|zmap-udp-53|hping3-udp)\.pcap$/

const canRun = requireExternal('tshark and mergecap', hasCommand('tshark') && hasCommand('mergecap'))

describe.skipIf(!canRun)('UDP probes and tshark', () => {
  const rows: Row[] = []
  const names: UdpProbeName[] = []

  beforeAll(async () => {
    const ours = readdirSync(`${ROOT}fixtures/captures`).filter(name => OURS.test(name))
    const shared = requireExternal('shared captures', hasSharedCaptures())
      ? readdirSync(SHARED_CAPTURES).filter(name => SHARED.test(name))
      : []
    const files = [
      ...ours.map(name => `${ROOT}fixtures/captures/${name}`),
      ...shared.map(name => SHARED_CAPTURES + name),
    ]
    const merged = join(temporaryFolder(afterAll), 'merged.pcapng')
    const run = promisify(execFile)
    await run('mergecap', ['-a', '-w', merged, ...files])
    const fields = FIELDS.flatMap(field => ['-e', field])
    const options = ['-n', '-o', 'ip.defragment:FALSE', '-r', merged, '-T', 'fields', '-E', 'occurrence=f', ...fields]
    const { stdout } = await run('tshark', options, { maxBuffer: 1 << 28 })
    for (const line of stdout.trimEnd().split('\n')) {
      const values = line.split('\t')
      rows.push(Object.fromEntries(FIELDS.map((field, index) => [field, values[index] ?? ''])) as Row)
    }
    await readCapture(merged, new Packet(), ({ udpProbe }) => void names.push(UDP_PROBE_NAMES[udpProbe]!))
  }, 120_000)

  test('every packet that tshark takes for a request has its name, and no other packet has that name', () => {
    expect(names.length).toBe(rows.length)
    const judged = new Set(rows.map(expectedName))
    const counts: Record<string, number> = {}
    const differences = rows.flatMap((row, index) => {
      const name = names[index]!
      const expected = isCompared(row) ? expectedName(row) : null
      if (!isCompared(row) || (expected === null && !judged.has(name))) return []
      counts[name] = (counts[name] ?? 0) + 1
      return expected === name ? [] : [`${row['frame.number']} ${row['frame.protocols']}: ${name}, tshark ${expected}`]
    })
    expect(differences).toEqual([])
    expect(Object.keys(counts).length, JSON.stringify(counts)).toBeGreaterThan(hasSharedCaptures() ? 25 : 20)
  })
})
