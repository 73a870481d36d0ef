import { join } from 'node:path'
import { CatalogCopy } from '../../analytics/catalog-copy.ts'

/**
 * Lake files in use of a hub that is stopped, below its data folder. Others may lie there, too: they were merged, and
 * nobody reads them any more.
 */
export async function lakeFilesInUse(data: string): Promise<string[]> {
  const catalog = await CatalogCopy.open(join(data, 'catalog.duckdb'), join(data, 'lake'))
  try {
    return (await catalog.lakeFiles()).map(({ path }) => `lake/${path}`)
  } finally {
    await catalog.close()
  }
}
