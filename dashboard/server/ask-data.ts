import { openStorage } from '../../analytics/duckdb-storage.ts'
import type { Answer, Ask, QueryName, QueryParameters, Status } from '../../schemas/api.ts'
import { TelescopeError } from '../../schemas/errors.ts'
import { checkHoldsHub, dataFolder, isSimulated } from './data-folder.ts'
import { askHub } from './hub-client.ts'

/** What an answer must say about the data it is made from. */
interface DataSource {
  readonly geography: string
  /** The region is simulated. */
  readonly demo: boolean
}

/**
 * Lets `use` put questions about a data folder: to the hub that runs on it, or to the storage itself when none runs.
 * @throws what the hub answers, NOT_FOUND when the folder is no hub's, DATA_IN_USE, and what `use` throws
 */
export async function askData<T>(data: string, use: (ask: Ask, source: DataSource) => Promise<T>): Promise<T> {
  const folder = dataFolder(data)
  const status = await askHub<Status>(folder, { method: 'GET', path: '/api/v1/status' })
  if (status !== null) {
    const ask = async <N extends QueryName>(name: N, parameters: QueryParameters<N>): Promise<Answer<N>> => {
      const path = `/api/v1/${name}?${new URLSearchParams(parameters as Record<string, string>)}`
      const answer = await askHub<Answer<N>>(folder, { method: 'GET', path })
      if (answer === null)
        throw new TelescopeError('HUB_UNREACHABLE', `hub on ${folder.root} stopped before it answered; ask again`)
      return answer.body
    }
    return await use(ask, { geography: status.body.geography, demo: status.body.demo !== null })
  }
  checkHoldsHub(folder)
  const storage = await openStorage({ data: folder.root, geography: null })
  try {
    const { geography } = await storage.overview({ sensors: 'all' })
    return await use((name, parameters) => storage.query(name, parameters, { sensors: 'all' }), {
      geography,
      demo: isSimulated(folder),
    })
  } finally {
    await storage.close()
  }
}
