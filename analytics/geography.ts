/** Which economy an address belongs to. */
export interface Geography {
  /** Name and date of the table, for answers and for redoing the enrichment when it changes. */
  readonly name: string
  /** ISO 3166-1 alpha-2; ZZ when the table does not know. The address is 128 bits, IPv4 mapped. */
  economyOf(address: bigint): string
}
