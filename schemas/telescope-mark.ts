import { countIpv4Addresses, type Prefix } from './address.ts'

/**
 * What a batch says of the telescope that it was collected for, so that a hub can tell a wrong prefix before anything of
 * it is counted. Of a batch that gets lost nobody learns which of the 65 536 /24 that share its check is dark, or which of
 * about 250 /16; what is larger than that cannot be hidden anyway.
 */
export interface TelescopeMark {
  readonly ipv4_addr_count: number
  /** Eight bits of a hash of the addresses. */
  readonly check: number
}

/** @param telescope in address order, as parseTelescope returns it; how its addresses are cut into prefixes does not matter */
export function markTelescope(telescope: readonly Prefix[]): TelescopeMark {
  let check = 0xcbf2_9ce4_8422_2325n
  for (const bound of boundsOf(telescope)) {
    // FNV-1a over the bytes of each bound, first one first.
    for (let shift = 120n; shift >= 0n; shift -= 8n) {
      check = BigInt.asUintN(64, (check ^ ((bound >> shift) & 0xffn)) * 0x100_0000_01b3n)
    }
  }
  return { ipv4_addr_count: countIpv4Addresses(telescope), check: Number((check >> 32n) & 0xffn) }
}

/** First and last address of each run of prefixes without a gap. */
function boundsOf(telescope: readonly Prefix[]): bigint[] {
  const bounds: bigint[] = []
  for (const { first, last } of telescope) {
    if (bounds.at(-1) === first - 1n) bounds.pop()
    else bounds.push(first)
    bounds.push(last)
  }
  return bounds
}
