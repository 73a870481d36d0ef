import { TelescopeError } from './errors.ts'

/** How long each class of data is kept, in days; null keeps it for ever. Receipts are always kept. */
export interface Retention {
  /** Raw captures, since they were counted. */
  readonly captures_days: number | null
  /** Received batches, since they were counted. */
  readonly batches_days: number | null
  /** Flows of the lake, by capture time; the hourly sums of the same days stay. */
  readonly flows_days: number | null
  /** Hourly sums and coverage, by capture time. */
  readonly rollups_days: number | null
}

const RETENTION_CLASSES = ['captures', 'batches', 'flows', 'rollups'] as const

export const KEEP_EVERYTHING: Retention = {
  captures_days: null,
  batches_days: null,
  flows_days: null,
  rollups_days: null,
}

/** A hundred years: more is a slip. */
const DAYS_MAX = 36_500

/**
 * Reads `CLASS=DAYS` items.
 * @throws USAGE
 */
export function parseRetention(items: readonly string[]): Retention {
  const retention: Record<keyof Retention, number | null> = { ...KEEP_EVERYTHING }
  for (const item of items) {
    const [name, days, ...rest] = item.split('=')
    const known = RETENTION_CLASSES.find(each => each === name)
    if (!known || rest.length > 0 || !/^[1-9]\d{0,4}$/.test(days ?? '') || Number(days) > DAYS_MAX) {
      throw new TelescopeError(
        'USAGE',
        `option --keep is "${item}", expected CLASS=DAYS with ${RETENTION_CLASSES.join(', ')} and 1 to ${DAYS_MAX} days`,
      )
    }
    retention[`${known}_days`] = Number(days)
  }
  const { flows_days, rollups_days } = retention
  if (rollups_days !== null && (flows_days === null || flows_days > rollups_days)) {
    throw new TelescopeError(
      'USAGE',
      `option --keep: rollups are kept ${rollups_days} days and flows ${flows_days ?? 'for ever'}; keep flows no longer than their sums`,
    )
  }
  return retention
}
