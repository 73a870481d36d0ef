import { workerData } from 'node:worker_threads'

/**
 * A thread beside the parsing: ends the process when the one that started it is gone. The main thread would not hear of
 * it while it is caught in a loop.
 */

const LOOK_MILLISECONDS = 1000

const parent = workerData as number
setInterval(() => {
  if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL')
}, LOOK_MILLISECONDS)
