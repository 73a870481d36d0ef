import { DROP_REASON_NAMES, type DropReason } from '../schemas/drop-reason.ts'
import { TelescopeError } from '../schemas/errors.ts'

/** Packets read, kept and dropped by reason. Read = kept + Σ drops always; `assertBalanced` holds it. */
export class PacketCounters {
  read = 0
  kept = 0
  /** By position in DROP_REASON_NAMES. */
  readonly drops = new Float64Array(DROP_REASON_NAMES.length)

  /** A copy that later counting leaves alone. */
  snapshot(): PacketCounters {
    const copy = new PacketCounters()
    copy.read = this.read
    copy.kept = this.kept
    copy.drops.set(this.drops)
    return copy
  }

  /** What was counted since the snapshot. */
  since(earlier: PacketCounters): PacketCounters {
    const difference = this.snapshot()
    difference.read -= earlier.read
    difference.kept -= earlier.kept
    for (let reason = 0; reason < this.drops.length; reason++) difference.drops[reason]! -= earlier.drops[reason]!
    return difference
  }

  add(other: PacketCounters): void {
    this.read += other.read
    this.kept += other.kept
    for (let reason = 0; reason < this.drops.length; reason++) this.drops[reason]! += other.drops[reason]!
  }

  /** Reasons that occurred, in the order of the list. */
  dropsByName(): Partial<Record<DropReason, number>> {
    return Object.fromEntries(
      DROP_REASON_NAMES.map((name, reason): [DropReason, number] => [name, this.drops[reason]!]).filter(
        ([, count]) => count > 0,
      ),
    )
  }

  /** @throws INTERNAL */
  assertBalanced(): void {
    const dropped = this.drops.reduce((sum, count) => sum + count, 0)
    if (this.read !== this.kept + dropped) {
      throw new TelescopeError('INTERNAL', `packets: ${this.read} read, but ${this.kept} kept and ${dropped} dropped`, {
        read: this.read,
        kept: this.kept,
        dropped,
      })
    }
  }
}
