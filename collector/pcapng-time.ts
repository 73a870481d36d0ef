const NANOSECONDS = 1_000_000_000n
const TWO_TO_16 = 65_536
/** After this second (in 2255) Unix microseconds are no exact numbers any more. */
const SECONDS_MAX = Math.floor(Number.MAX_SAFE_INTEGER / 1_000_000) - 1

/** True when a packet of this Unix second can be put into an interval. */
export function isTimeValid(seconds: number): boolean {
  return seconds >= 0 && seconds <= SECONDS_MAX
}

/** Time of one pcapng interface: the options if_tsresol and if_tsoffset (draft-ietf-opsawg-pcapng section 4.2). */
export class PcapngClock {
  /** Results of the last `set`. */
  seconds = 4294967295
  nanoseconds = 0
  private readonly ticksPerSecond: bigint
  private readonly fastTicksPerSecond: number
  private readonly nanosecondsPerTick: number
  private readonly offsetSeconds: number

  /**
   * @param resolution the if_tsresol byte: a negative power of 10, or of 2 when the highest bit is set
   * @param offsetSeconds added to every time
   */
  constructor(resolution: number, offsetSeconds: number) {
    const exponent = BigInt(resolution & 0x7f)
    this.ticksPerSecond = (resolution & 0x80) === 0 ? 10n ** exponent : 2n ** exponent
    // Up to nanoseconds a long division in steps of 16 bits stays within the exact range of a number.
    const isFast = NANOSECONDS % this.ticksPerSecond === 0n
    this.fastTicksPerSecond = isFast ? Number(this.ticksPerSecond) : 0
    this.nanosecondsPerTick = isFast ? Number(NANOSECONDS / this.ticksPerSecond) : 0
    this.offsetSeconds = offsetSeconds
  }

  /** Sets seconds and nanoseconds, rounded down, from the two halves of a timestamp. */
  set(high: number, low: number): void {
    if (this.fastTicksPerSecond === 0) {
      this.setExactly(high, low)
      return
    }
    const divisor = this.fastTicksPerSecond
    const upper = Math.floor(high / divisor)
    let rest = (high - upper * divisor) * TWO_TO_16 + (low >>> 16)
    const middle = Math.floor(rest / divisor)
    rest = (rest - middle * divisor) * TWO_TO_16 + (low & 0xffff)
    const lower = Math.floor(rest / divisor)
    this.seconds = (upper * TWO_TO_16 + middle) * TWO_TO_16 + lower + this.offsetSeconds
    this.nanoseconds = (rest - lower * divisor) * this.nanosecondsPerTick
  }

  private setExactly(high: number, low: number): void {
    const ticks = (BigInt(high) << 32n) | BigInt(low)
    const seconds = ticks / this.ticksPerSecond
    this.seconds = Number(seconds) + this.offsetSeconds
    this.nanoseconds = Number(((ticks - seconds * this.ticksPerSecond) * NANOSECONDS) / this.ticksPerSecond)
  }
}
