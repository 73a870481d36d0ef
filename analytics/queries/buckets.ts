import { DAY_SECONDS } from '../../schemas/time.ts'
import { type Sql, sql } from '../sql.ts'

/** Start of the bucket of an hourly row, as SQL. */
export function bucketOf(bucketSeconds: number): Sql {
  return bucketSeconds === DAY_SECONDS ? sql`date_trunc('day', bucket_start)::TIMESTAMP` : sql`bucket_start`
}
