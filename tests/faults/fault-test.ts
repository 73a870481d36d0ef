/** What every test of `npm run faults` takes and gives. */
export interface FaultOptions {
  /** Of all that is drawn: the same seed draws the same. */
  readonly seed: number
  /** Few rounds, for the test run; else as many as the promise is worth. */
  readonly short: boolean
  /** Folder with the built program; a broken one shows that the test can fail. */
  readonly build: string
  /** Rounds (kills, uploads, connections: what the test counts) instead of those of the form; null for these. */
  readonly rounds?: number | null
  /** Of a sweep, the first point and the one behind the last; null for all. */
  readonly from?: number | null
  readonly to?: number | null
  /** Takes lines that say how far it is. */
  print(line: string): void
}

export interface FaultReport {
  /** What broke the promise; empty when it held. */
  readonly violations: readonly string[]
  readonly figures: Readonly<Record<string, string | number>>
}

export type FaultTest = (options: FaultOptions) => Promise<FaultReport>

/** A promise that resolves after so many milliseconds. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, milliseconds))
}
