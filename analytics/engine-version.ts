import { version } from '@duckdb/node-api'

/** The engine's own version; loading it is what shows that it can be loaded. */
export function engineVersion(): string {
  return version()
}
