const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
/** Enough for tcpdump to write its buffer; short enough for whoever pressed Ctrl-C. */
const DRAIN_MILLISECONDS = 2000

export interface Stop {
  /** Aborted when reading must end. */
  readonly signal: AbortSignal
  /** True from the first signal on. */
  readonly isAsked: boolean
  /** Gives signals back to the process. */
  release(): void
}

/**
 * A capture may come from a tcpdump that never ends: a signal ends the reading, and what was read is written as a
 * batch. Ctrl-C reaches tcpdump at the same moment, which then writes what it still holds: so reading goes on to the
 * end of the input, for DRAIN_MILLISECONDS at most. A second signal stops it at once.
 * @param onChange called at the first signal and when reading must end
 */
export function stopOnSignal(note: (line: string) => void, onChange: () => void = () => {}): Stop {
  const controller = new AbortController()
  let deadline: NodeJS.Timeout | undefined
  const stop = (): void => {
    controller.abort()
    onChange()
  }
  const onSignal = (name: string): void => {
    // The terminal may be gone: what cannot be told any more must not keep the batch from being written.
    if (name === 'SIGHUP') for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
    if (deadline) {
      stop()
      return
    }
    deadline = setTimeout(stop, DRAIN_MILLISECONDS)
    note(`${name}: writing what was read once the input ends, at the latest after ${DRAIN_MILLISECONDS / 1000} s`)
    onChange()
  }
  for (const name of SIGNALS) process.on(name, onSignal)
  return {
    signal: controller.signal,
    get isAsked() {
      return deadline !== undefined
    },
    release: () => {
      clearTimeout(deadline)
      for (const name of SIGNALS) process.off(name, onSignal)
    },
  }
}
