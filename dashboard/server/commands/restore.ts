import { resolve } from 'node:path'
import type { Command } from '../../../schemas/command.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { commandLine } from '../instructions.ts'
import { progressNote } from '../progress-note.ts'
import { restoreBackup } from '../restore-backup.ts'
import { textOption } from './options.ts'

export const command: Command = {
  summary: 'make a data folder of a backup',
  usage: `hirundo restore DIR --data NEW

Makes the data folder NEW, which must not be there, of the backup in DIR. Every file is held against the manifest of the
backup; NEW appears as a whole, or not at all. What the hub received after the backup is not in it: sensors keep their
batches until they have a receipt, and sending again changes nothing.

  --data NEW  the new data folder`,
  options: { data: { type: 'string' } },
  async run({ values, positionals }) {
    const [folder, ...more] = positionals
    if (folder === undefined || more.length > 0)
      throw new TelescopeError('USAGE', 'restore: name the folder of one backup')
    const data = textOption(values, 'data')
    process.umask(0o077)
    const note = progressNote('restoring')
    const { files, bytes } = restoreBackup(resolve(folder), data, note)
    note(null)
    process.stdout.write(
      `restored ${files} files, ${bytes} bytes; start it with ${commandLine('serve', '--data', data)}\n`,
    )
    return 0
  },
}
