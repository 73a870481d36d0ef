import type { CommandArguments } from '../schemas/command.ts'
import { TelescopeError } from '../schemas/errors.ts'

/**
 * What decoding does beyond reading headers up to the first IP packet, as bits of `Packet.decodeOptions`; and the two
 * options of the command line that set them, the same for every command that reads captures.
 */

export const DECAPSULATE_IPIP = 1
export const DECAPSULATE_GRE = 2
export const DECAPSULATE_ERSPAN = 4
export const DECAPSULATE_VXLAN = 8
export const DECAPSULATE_GENEVE = 16
export const VERIFY_CHECKSUMS = 32

const TUNNELS: Readonly<Record<string, number>> = {
  ipip: DECAPSULATE_IPIP,
  gre: DECAPSULATE_GRE,
  erspan: DECAPSULATE_ERSPAN,
  vxlan: DECAPSULATE_VXLAN,
  geneve: DECAPSULATE_GENEVE,
}
const TUNNEL_NAMES = Object.keys(TUNNELS)

/** For `Command.options`. */
export const DECODE_OPTIONS = {
  decapsulate: { type: 'string' },
  'verify-checksums': { type: 'boolean', default: false },
} as const

/** Lines of `Command.usage`, without a line end. */
export const DECODE_USAGE = `  --decapsulate LIST     looks into these tunnels and counts the packet inside: ${TUNNEL_NAMES.join(', ')}
                         (separated by commas). By default a tunnel packet is what its own header says
  --verify-checksums     drops packets whose IP, TCP, UDP or ICMP checksum is wrong, where all of the packet was
                         captured. Off by default: what a machine records of its own traffic often has none yet`

/**
 * The bits that the two options ask for.
 * @param name of the command, for the message
 * @throws USAGE
 */
export function decodeOptions(values: CommandArguments['values'], name: string): number {
  const list = values['decapsulate']
  const tunnels = list === undefined ? 0 : parseTunnels(String(list), name)
  return values['verify-checksums'] === true ? tunnels | VERIFY_CHECKSUMS : tunnels
}

function parseTunnels(list: string, name: string): number {
  let bits = 0
  for (const tunnel of list.split(',')) {
    const bit = Object.hasOwn(TUNNELS, tunnel) ? TUNNELS[tunnel]! : 0
    if (bit === 0) {
      const known = TUNNEL_NAMES.join(', ')
      throw new TelescopeError(
        'USAGE',
        `${name}: --decapsulate "${tunnel}" is no tunnel that is read; there are ${known}`,
      )
    }
    bits |= bit
  }
  return bits
}
