import type { Outcome } from './targets.ts'

/** What parent and worker of a shard say to each other. */

/** Cases drawn from a seed, by number, or inputs that lie in files, by their place in the list. */
export type ShardCases =
  | { readonly seed: number; readonly from: number; readonly to: number; readonly target: string | null }
  | { readonly files: readonly FileCase[]; readonly from: number }

export interface FileCase {
  readonly target: string
  readonly path: string
}

export interface ShardJob {
  /** Of the checkout, with a slash at the end. */
  readonly root: string
  /** For what the worker writes; the parent removes it. */
  readonly folder: string
  /** File of eight bytes that holds the number of the case at hand. */
  readonly progress: string
  readonly cases: ShardCases
}

export interface CaseFailure {
  readonly number: number
  readonly target: string
  /** The error, or how the worker ended. */
  readonly what: string
  readonly stack: string
  /** The input and its mutations, for people. */
  readonly made: string
  /** The input, in base64. */
  readonly input: string
}

export interface ShardTally {
  /** The corpus's digest. */
  corpus: string
  failing: number
  /** Cases by target and error code. */
  outcomes: Record<string, number>
  /** Cases with a packet of the drop reason. */
  drops: Record<string, number>
  slowest: { number: number; milliseconds: number; target: string }
  /** The most memory that the worker ever had, by the kernel's account. */
  residentBytesMax: number
  /** Processor time of the worker, user and system. */
  cpuSeconds: number
}

export type WorkerMessage =
  | { readonly kind: 'failure'; readonly failure: CaseFailure }
  /** Of a case from a file. */
  | { readonly kind: 'outcome'; readonly number: number; readonly outcome: Outcome }
  /** Of all cases so far. */
  | { readonly kind: 'tally'; readonly tally: ShardTally }
  | { readonly kind: 'done' }

/** Processor time of one case; inputs are far smaller than the megabyte that may take a second. */
export const CASE_SECONDS_MAX = 1
