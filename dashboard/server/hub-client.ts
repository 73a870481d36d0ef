import { request } from 'node:http'
import type { Storage } from '../../analytics/storage.ts'
import { ERROR_CODES, type ErrorBody, TelescopeError } from '../../schemas/errors.ts'
import { checkHoldsHub, type DataFolder, dataFolder, openDataFolder } from './data-folder.ts'

interface Question {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly body?: object
}

/**
 * Does something for the coordinator of a data folder: asks the hub that runs on it, or does it on the storage itself
 * when none runs. The two must have the same result.
 * @throws what the hub answers, NOT_FOUND when the folder is no hub's, DATA_IN_USE
 */
export async function administer<T>(
  data: string,
  question: Question,
  withoutHub: (storage: Storage, folder: DataFolder) => Promise<T>,
): Promise<T> {
  const places = dataFolder(data)
  const answer = await askHub<T>(places, question)
  if (answer !== null) return answer.body
  checkHoldsHub(places)
  // A folder that was copied may lack the empty ones.
  const folder = openDataFolder(data)
  // Only loaded when it is needed: the engine takes longer to load than a hub to answer.
  const { openStorage } = await import('../../analytics/duckdb-storage.ts')
  const storage = await openStorage({ data: folder.root, geography: null })
  try {
    return await withoutHub(storage, folder)
  } finally {
    await storage.close()
  }
}

/**
 * Asks the hub that runs on a data folder, through its socket.
 * @returns null when no hub runs there
 * @throws what the hub answers
 */
export async function askHub<T>({ socket }: DataFolder, { method, path, body }: Question): Promise<{ body: T } | null> {
  const text = body === undefined ? undefined : JSON.stringify(body)
  const answer = await new Promise<{ status: number; text: string } | null>((resolve, reject) => {
    const call = request({
      socketPath: socket,
      method,
      path,
      headers: {
        host: 'localhost',
        ...(text === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
      },
      agent: false,
    })
    call.on('error', error => {
      const { code } = error as NodeJS.ErrnoException
      // Nobody listens behind a socket that a killed hub left.
      if (code === 'ENOENT' || code === 'ECONNREFUSED') resolve(null)
      else
        reject(
          new TelescopeError('HUB_UNREACHABLE', `hub behind ${socket} did not answer (${error.message})`, {}, error),
        )
    })
    call.on('response', response => {
      const chunks: Buffer[] = []
      response.on('data', chunk => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }))
    })
    call.end(text)
  })
  if (answer === null) return null
  const parsed: unknown = answer.text === '' ? null : JSON.parse(answer.text)
  if (answer.status < 400) return { body: parsed as T }
  throw hubError(parsed, answer.status)
}

/** The error that an answer of the hub carries. */
export function hubError(body: unknown, status: number): TelescopeError {
  const { error } = (body ?? {}) as Partial<ErrorBody>
  if (error && Object.hasOwn(ERROR_CODES, error.code))
    return new TelescopeError(error.code, error.message, error.details)
  return new TelescopeError('HUB_UNREACHABLE', `hub answered with status ${status} and not as a hub does`, { status })
}
