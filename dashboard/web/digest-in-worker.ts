import { TelescopeError } from '../../schemas/errors.ts'
import type { DigestAnswer } from './digest-worker.ts'

/**
 * SHA-256 of a file, hexadecimal, while the page goes on. The worker ends with the answer or when `signal` aborts;
 * after an abort the promise stays open.
 * @throws TelescopeError CAPTURE_UNREADABLE
 */
export function digestInWorker(file: File, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./digest-worker.ts', import.meta.url), { type: 'module' })
    const unreadable = (problem: string): void =>
      reject(
        new TelescopeError('CAPTURE_UNREADABLE', `file ${file.name}: ${problem}; choose it again`, { file: file.name }),
      )
    signal.addEventListener('abort', () => worker.terminate())
    worker.addEventListener('message', ({ data }: MessageEvent<DigestAnswer>) => {
      worker.terminate()
      if ('sha256' in data) resolve(data.sha256)
      else unreadable(data.problem)
    })
    worker.addEventListener('error', event => {
      worker.terminate()
      unreadable(event.message || 'the browser started no worker to hash it')
    })
    worker.postMessage(file)
  })
}
