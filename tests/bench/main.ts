/**
 * `npm run bench [NAME...]`: runs all benches, or the ones named. They print figures and decide nothing: a figure is
 * worth something only beside another from the same run on the same machine.
 */
const BENCHES: Readonly<Record<string, () => Promise<{ run(): Promise<void> }>>> = {
  bytes: () => import('./bytes.ts'),
  collect: () => import('./collect.ts'),
  receipts: () => import('./receipt-year.ts'),
  'collect-long': async () => ({ run: (await import('./collect.ts')).runLong }),
  hub: () => import('./hub.ts'),
  'hub-short': async () => ({ run: (await import('./hub.ts')).runShort }),
}

const names = process.argv.slice(2)
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
