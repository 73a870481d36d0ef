import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from '../../../schemas/command.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { dataFolder } from '../data-folder.ts'
import { diagnose, hubChecks, hubClockCheck } from '../doctor-checks.ts'
import { builtFile } from '../package-root.ts'
import { ParsePool } from '../parse-pool.ts'
import { DATA_DEFAULT, portOption, textOption } from './options.ts'
import { printTable } from './print-table.ts'

export const command: Command = {
  summary: 'say whether this machine can run a hub, and what to do',
  usage: `hirundo doctor [--data DIR] [--port 8080] [--hub URL] [--json]

Looks at Node, memory, disk, file system, fsync, permissions, port, address families, clock, fonts, the engine and the
parsing process. Changes nothing. Ends with status 3 when something does not work.

  --data DIR   data folder that the hub has or will have, default ${DATA_DEFAULT}
  --port PORT  port that the hub is to have, default 8080
  --hub URL    compares the clock with that of a hub
  --json       print one JSON object`,
  options: {
    data: { type: 'string', default: DATA_DEFAULT },
    port: { type: 'string', default: '8080' },
    hub: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
  async run({ values, positionals }) {
    if (positionals.length > 0) throw new TelescopeError('USAGE', `doctor takes no argument "${positionals[0]}"`)
    const hub = values['hub'] === undefined ? null : textOption(values, 'hub')
    if (hub !== null && !URL.canParse(hub))
      throw new TelescopeError('USAGE', `option --hub is "${hub}", expected a URL`)
    const diagnoses = await diagnose({
      ...hubChecks(dataFolder(textOption(values, 'data')), portOption(values, 'port'), startParser),
      ...(hub === null ? {} : hubClockCheck(hub)),
    })
    if (values['json']) process.stdout.write(`${JSON.stringify({ checks: diagnoses })}\n`)
    else
      printTable(
        ['check', '', 'found'],
        diagnoses.map(({ check, verdict, what }) => [check, verdict, what]),
      )
    return diagnoses.some(({ verdict }) => verdict === 'FAIL') ? 3 : 0
  },
}

async function startParser(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'hirundo-doctor-'))
  const pool = new ParsePool(builtFile('collector', 'parse-child.js'), folder)
  try {
    await pool.check()
  } finally {
    pool.close()
    rmSync(folder, { recursive: true, force: true })
  }
}
