import { join, resolve } from 'node:path'
import type { Command } from '../../../schemas/command.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { withFrozenData } from '../freeze-for-command.ts'
import { progressNote } from '../progress-note.ts'
import { verifyBackup } from '../verify-backup.ts'
import { damagedCatalog, type Finding, isDamage, verifyData } from '../verify-data.ts'
import { DATA_DEFAULT, textOption } from './options.ts'
import { printTable } from './print-table.ts'

export const command: Command = {
  summary: 'read every byte of a hub or a backup, and say what is not as it was written',
  usage: `hirundo verify [--data DIR | --backup DIR] [--json]

Holds received bytes against their digests, lake files against the manifest, receipts against the bytes that they need,
and files of a backup against its manifest. Ends with status 3 when something is missing, changed or damaged. Works
while the hub runs.

  --data DIR    data folder of a hub, default ${DATA_DEFAULT}
  --backup DIR  folder of a backup instead
  --json        print one JSON object`,
  options: { data: { type: 'string' }, backup: { type: 'string' }, json: { type: 'boolean', default: false } },
  async run({ values, positionals }) {
    if (positionals.length > 0) throw new TelescopeError('USAGE', `verify takes no argument "${positionals[0]}"`)
    if (values['data'] !== undefined && values['backup'] !== undefined) {
      throw new TelescopeError('USAGE', 'verify: name --data or --backup, not both')
    }
    process.umask(0o077)
    const paths = new Set<string>()
    const note = progressNote('read')
    const onFile = (path: string) => {
      paths.add(path)
      note(path)
    }
    const findings =
      values['backup'] === undefined
        ? await verifyHub(values['data'] === undefined ? DATA_DEFAULT : textOption(values, 'data'), onFile)
        : await verifyBackup(resolve(textOption(values, 'backup')), onFile)
    note(null)
    if (values['json']) process.stdout.write(`${JSON.stringify({ files: paths.size, findings })}\n`)
    else if (findings.length === 0) process.stdout.write(`${paths.size} files are as they were written\n`)
    else {
      printTable(
        ['problem', 'file', 'what'],
        findings.map(({ problem, path, what }) => [problem, path, what]),
      )
      // A backup takes a file that is there for what it was: size and name do not show a bit that has flipped.
      if (values['backup'] !== undefined) {
        process.stdout.write(
          'remove these files and run hirundo backup into the folder again: it copies what is missing\n',
        )
      }
    }
    return findings.length === 0 ? 0 : 3
  },
}

async function verifyHub(data: string, onFile: (path: string) => void): Promise<Finding[]> {
  try {
    return await withFrozenData(data, frozen => verifyData(frozen, join(frozen, 'catalog.duckdb'), onFile))
  } catch (error) {
    if (isDamage(error)) return [damagedCatalog(error)]
    throw error
  }
}
