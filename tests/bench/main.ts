import { parseArgs } from 'node:util'

/**
 * `npm run bench [NAME...]`: runs all benches, or the ones named. They print figures and decide nothing: a figure is
 * worth something only beside another from the same run on the same machine. `load` alone says whether what is asked
 * of a hub was reached, and exits with 1 when not; it takes `-- --minutes N --sensors N --packets N --seed N`.
 */
const BENCHES: Readonly<Record<string, () => Promise<{ run(): Promise<void> }>>> = {
  bytes: () => import('./bytes.ts'),
  collect: () => import('./collect.ts'),
  receipts: () => import('./receipt-year.ts'),
  'collect-long': async () => ({ run: (await import('./collect.ts')).runLong }),
  hub: () => import('./hub.ts'),
  load: async () => ({ run: runLoad }),
  'hub-short': async () => ({ run: (await import('./hub.ts')).runShort }),
}

const { values, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: 'string', default: '30' },
    sensors: { type: 'string', default: '200' },
    packets: { type: 'string' },
    seed: { type: 'string', default: '1' },
  },
})

async function runLoad(): Promise<void> {
  const { load } = await import('./load.ts')
  const { PACKETS_PER_BATCH } = await import('./minute-captures.ts')
  const [minutes, sensors, seed] = [values.minutes, values.sensors, values.seed].map(Number) as [number, number, number]
  const packets = Number(values.packets ?? PACKETS_PER_BATCH)
  if (!(await load({ minutes, sensors, packets, seed }))) process.exitCode = 1
}

const unknown = names.find(name => !Object.hasOwn(BENCHES, name))
if (unknown !== undefined) {
  process.stderr.write(`bench "${unknown}" is unknown; there are ${Object.keys(BENCHES).join(', ')}\n`)
  process.exitCode = 2
} else {
  for (const name of names.length > 0 ? names : Object.keys(BENCHES)) {
    process.stdout.write(`\n${name}\n`)
    await (await BENCHES[name]!()).run()
  }
}
