import { existsSync, realpathSync } from 'node:fs'
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import type { Command } from '../../../schemas/command.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { withFrozenData } from '../freeze-for-command.ts'
import { progressNote } from '../progress-note.ts'
import { writeBackup } from '../write-backup.ts'
import { DATA_DEFAULT, textOption } from './options.ts'

export const command: Command = {
  summary: 'copy the data of a hub, also while it runs',
  usage: `hirundo backup DIR [--data DIR] [--json]

Copies everything of one moment to DIR: catalog, lake, received bytes, keys. The hub goes on meanwhile. What an earlier
backup in DIR holds already is not copied again; that one stays good until the new one is whole. Bytes are copied, never
linked: put DIR on another disk. It holds keys and raw captures, so it is for the owner alone.

  --data DIR  data folder of the hub, default ${DATA_DEFAULT}
  --json      print one JSON object`,
  options: { data: { type: 'string', default: DATA_DEFAULT }, json: { type: 'boolean', default: false } },
  async run({ values, positionals }) {
    const [target, ...more] = positionals
    if (target === undefined || more.length > 0) throw new TelescopeError('USAGE', 'backup: name one folder to copy to')
    process.umask(0o077)
    const note = progressNote('copying')
    const data = textOption(values, 'data')
    checkOutside(target, data)
    const summary = await withFrozenData(data, async frozen => writeBackup(frozen, resolve(target), note))
    note(null)
    process.stdout.write(
      values['json']
        ? `${JSON.stringify(summary)}\n`
        : `backup of ${summary.files} files, ${summary.bytes} bytes, of which ${summary.files_copied} files, ${summary.bytes_copied} bytes, are new\n`,
    )
    return 0
  },
}

/** What takes the data away must not take the backup with it. */
function checkOutside(target: string, data: string): void {
  const way = relative(realPlace(data), realPlace(target))
  if (way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way)) return
  throw new TelescopeError(
    'BACKUP_INVALID',
    `backup folder ${target} lies in the data folder ${data}; name one elsewhere, best on another disk`,
    { path: target },
  )
}

/** Where a path leads, with the part of it that is not there yet. */
function realPlace(path: string): string {
  const whole = resolve(path)
  if (existsSync(whole)) return realpathSync(whole)
  return join(realPlace(dirname(whole)), basename(whole))
}
