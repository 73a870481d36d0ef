import type { Command } from '../../../schemas/command.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { checkHoldsHub, dataFolder, openDataFolder } from '../data-folder.ts'
import { Inbox } from '../inbox.ts'
import { builtFile } from '../package-root.ts'
import { ParsePool } from '../parse-pool.ts'
import { type RebuiltDay, rebuildLake } from '../rebuild.ts'
import { DATA_DEFAULT, textOption } from './options.ts'

export const command: Command = {
  summary: 'make the lake and rollups of a hub again from what was received',
  usage: `hirundo rebuild [--data DIR] [--json]

Parses what is kept of counted uploads again and puts flows and rollups made from it in the place of the present ones,
day by day; the hub must not run. A day of which the bytes of an upload are no longer kept stays as it is. Killed at any
moment, each day is the old one or the new one; coverage and receipts are not touched.

  --data DIR   data folder of the hub, default ${DATA_DEFAULT}
  --json       print one JSON object a day`,
  options: {
    data: { type: 'string', default: DATA_DEFAULT },
    json: { type: 'boolean', default: false },
  },
  async run({ values, positionals }) {
    if (positionals.length > 0)
      throw new TelescopeError('USAGE', 'rebuild: takes no arguments; see hirundo rebuild --help')
    const data = textOption(values, 'data')
    checkHoldsHub(dataFolder(data))
    const { openStorage } = await import('../../../analytics/duckdb-storage.ts')
    const folder = openDataFolder(data)
    const storage = await openStorage({ data: folder.root, geography: null })
    const pool = new ParsePool(builtFile('collector', 'parse-child.js'), folder.parsed)
    try {
      // What a crash left counted and in the inbox lies where it is looked for then, and nothing of a former run is left.
      await new Inbox(folder, true).sweep(storage)
      for await (const day of rebuildLake({ storage, folder, pool })) {
        process.stdout.write(`${values['json'] ? JSON.stringify(day) : describe(day)}\n`)
      }
    } finally {
      pool.close()
      await storage.close()
    }
    return 0
  },
}

function describe({ day, uploads, flows, reason }: RebuiltDay): string {
  if (flows === null) return `${day}  kept as it is: ${reason}`
  const change =
    flows.before === flows.after ? `${flows.after} flows` : `${flows.before} flows before, ${flows.after} now`
  return `${day}  rebuilt from ${uploads} uploads: ${change}`
}
