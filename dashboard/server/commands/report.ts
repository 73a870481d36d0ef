import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { weeklyBundle } from '../../../analytics/report/weekly-bundle.ts'
import { weeklyFigures } from '../../../analytics/report/weekly-figures.ts'
import type { Command } from '../../../schemas/command.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { askData } from '../ask-data.ts'
import { SOFTWARE_VERSION } from '../package-root.ts'
import { DATA_DEFAULT, textOption } from './options.ts'

export const command: Command = {
  summary: 'write the weekly bundle for partners',
  usage: `hirundo report --week 2026-W46 --out DIR [--data DIR] [--json]

Writes DIR/2026-W46 with report.html, the tables as CSV, dictionary.md and manifest.json (checksums, coverage, TLP).
The bundle is for members (TLP:AMBER). A bundle of the same week is replaced as a whole. Asks the hub that runs on the
data folder, or reads the folder itself when none runs.

  --week WEEK   ISO week, Monday to Sunday, UTC
  --out DIR     folder for the bundle; made when missing
  --data DIR    data folder of the hub, default ${DATA_DEFAULT}
  --json        print the manifest`,
  options: {
    week: { type: 'string' },
    out: { type: 'string' },
    data: { type: 'string', default: DATA_DEFAULT },
    json: { type: 'boolean', default: false },
  },
  async run({ values, positionals }) {
    if (positionals.length > 0) throw new TelescopeError('USAGE', `report takes no argument "${positionals[0]}"`)
    const week = textOption(values, 'week')
    const out = resolve(textOption(values, 'out'), week)
    const files = await askData(textOption(values, 'data'), async (ask, { geography, demo }) =>
      weeklyBundle(await weeklyFigures(ask, week, Date.now() / 1000), { geography, demo, version: SOFTWARE_VERSION }),
    )
    writeBundle(out, files)
    process.stdout.write(values['json'] ? files.get('manifest.json')! : `${join(out, 'report.html')}\n`)
    return 0
  },
}

/** The folder appears as a whole under its name, or not at all. */
function writeBundle(folder: string, files: ReadonlyMap<string, string>): void {
  const written = `${folder}.tmp-${process.pid}`
  try {
    mkdirSync(dirname(folder), { recursive: true })
    mkdirSync(written)
    for (const [name, text] of files) writeFileSync(join(written, name), text)
    rmSync(folder, { recursive: true, force: true })
    renameSync(written, folder)
  } catch (error) {
    rmSync(written, { recursive: true, force: true })
    const { code } = error as NodeJS.ErrnoException
    throw new TelescopeError(
      code === 'ENOSPC' ? 'DISK_FULL' : 'OUTPUT_UNWRITABLE',
      `report folder ${folder} cannot be written (${code}); choose another with --out or make room`,
      { path: folder },
      error,
    )
  }
}
