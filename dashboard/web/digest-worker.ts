import { digestFile } from './file-digest.ts'

/** A worker of its own: hashing a gigabyte takes seconds in which the page must stay alive. */

export type DigestAnswer = { readonly sha256: string } | { readonly problem: string }

self.addEventListener('message', ({ data }: MessageEvent<Blob>) => {
  const answer = (message: DigestAnswer): void => self.postMessage(message)
  digestFile(data).then(
    sha256 => answer({ sha256 }),
    (error: unknown) => answer({ problem: error instanceof Error ? error.message : String(error) }),
  )
})
