import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Command } from '../schemas/command.ts'
import { EXIT_STATUS, TelescopeError } from '../schemas/errors.ts'

type Load = () => Promise<{ command: Command }>

/**
 * Where each command lives; only the one that is called is loaded, so a sensor host never loads DuckDB. One with
 * subcommands is a table of them, because some run at the sensor and some at the hub.
 */
const COMMANDS: Readonly<Record<string, Load | Readonly<Record<string, Load>>>> = {
  collect: () => import('../collector/commands/collect.ts'),
  packets: () => import('../collector/commands/packets.ts'),
  inspect: () => import('../collector/commands/inspect.ts'),
  send: () => import('../collector/commands/send.ts'),
  simulate: () => import('../fixtures/simulator/command.ts'),
  serve: () => import('../dashboard/server/commands/serve.ts'),
  receipt: {
    verify: () => import('../collector/commands/receipt-verify.ts'),
  },
  sensor: {
    init: () => import('../collector/commands/sensor-init.ts'),
    enrol: () => import('../collector/commands/sensor-enrol.ts'),
    rotate: () => import('../collector/commands/sensor-rotate.ts'),
    add: () => import('../dashboard/server/commands/sensor-add.ts'),
    change: () => import('../dashboard/server/commands/sensor-change.ts'),
    list: () => import('../dashboard/server/commands/sensor-list.ts'),
    invite: () => import('../dashboard/server/commands/sensor-invite.ts'),
    keys: () => import('../dashboard/server/commands/sensor-keys.ts'),
    revoke: () => import('../dashboard/server/commands/sensor-revoke.ts'),
    health: () => import('../dashboard/server/commands/sensor-health.ts'),
    run: () => import('../collector/commands/sensor-run.ts'),
  },
  token: () => import('../dashboard/server/commands/token.ts'),
  upload: () => import('../dashboard/server/commands/upload.ts'),
  rebuild: () => import('../dashboard/server/commands/rebuild.ts'),
  audit: () => import('../dashboard/server/commands/audit.ts'),
  retain: () => import('../dashboard/server/commands/retain.ts'),
  'read-copy': () => import('../dashboard/server/commands/read-copy.ts'),
  report: () => import('../dashboard/server/commands/report.ts'),
  config: () => import('../dashboard/server/commands/config.ts'),
  doctor: () => import('../dashboard/server/commands/doctor.ts'),
  backup: () => import('../dashboard/server/commands/backup.ts'),
  restore: () => import('../dashboard/server/commands/restore.ts'),
  verify: () => import('../dashboard/server/commands/verify.ts'),
  demo: () => import('../dashboard/server/commands/demo.ts'),
}

/** One line a command; `names` are the words in front of the table's own. */
async function overview(table: typeof COMMANDS, names: readonly string[] = []): Promise<string> {
  let text = ''
  for (const [name, entry] of Object.entries(table)) {
    const words = [...names, name]
    text +=
      typeof entry === 'function'
        ? `  ${words.join(' ').padEnd(16)}${(await entry()).command.summary}\n`
        : await overview(entry, words)
  }
  return text
}

/** Beside bin/ in a checkout and in the package; this file runs as dist/bin/main.js. */
function version(): string {
  return (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string })
    .version
}

async function main(argv: readonly string[]): Promise<number> {
  if (argv[0] === '--version' || argv[0] === '-V' || argv[0] === 'version') {
    process.stdout.write(`hirundo ${version()}, Node ${process.versions.node}\n`)
    return 0
  }
  const words: string[] = []
  let table = COMMANDS
  // `help serve` is `serve --help`.
  let rest = argv[0] === 'help' && argv.length > 1 ? [...argv.slice(1), '--help'] : [...argv]
  for (;;) {
    const [name, ...others] = rest
    if (name === undefined || name === '--help' || name === '-h' || (name === 'help' && words.length === 0)) {
      const title = ['hirundo', ...words, 'COMMAND', '[--help]'].join(' ')
      process.stdout.write(`${title}\n\n${await overview(table, words)}`)
      return name === undefined ? EXIT_STATUS.usage : 0
    }
    const entry = Object.hasOwn(table, name) ? table[name]! : undefined
    words.push(name)
    if (entry === undefined) {
      throw new TelescopeError(
        'USAGE',
        `command "${words.join(' ').replaceAll(/\p{Cc}/gu, '?')}" is unknown; there are ${Object.keys(table).join(', ')}`,
      )
    }
    rest = others
    if (typeof entry === 'function') return await run(words.join(' '), (await entry()).command, rest)
    table = entry
  }
}

async function run(name: string, command: Command, args: string[]): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(`${command.usage.trimEnd()}\n`)
    return 0
  }
  return await command.run(readArguments(name, command, args))
}

function readArguments(name: string, command: Command, args: string[]) {
  try {
    return parseArgs({ args, options: command.options, allowPositionals: true, strict: true })
  } catch (error) {
    // node's own text is good ("Unknown option '--x'"), but it suggests `--` at length after the first sentence.
    const reason = error instanceof Error ? error.message.split('. ')[0] : String(error)
    throw new TelescopeError('USAGE', `${name}: ${reason}; see hirundo ${name} --help`, {}, error)
  }
}

function report(error: unknown): number {
  if (error instanceof TelescopeError) {
    process.stderr.write(`hirundo: ${error.message} [${error.code}]\n`)
    return EXIT_STATUS[error.kind]
  }
  process.stderr.write(
    `hirundo: this is a defect in Hirundo: ${error instanceof Error ? error.stack : String(error)} [INTERNAL]\n`,
  )
  return EXIT_STATUS.bug
}

// Whoever reads our output may stop early (`| head -1`): the command goes on to its end without. Any other failure to
// write is an error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return
    const code = error.code === 'ENOSPC' ? 'DISK_FULL' : 'OUTPUT_UNWRITABLE'
    if (stream === process.stdout) process.stderr.write(`hirundo: output cannot be written (${error.code}) [${code}]\n`)
    process.exit(EXIT_STATUS.operating)
  })
}

// Exit by status and not by process.exit(): output that is still on its way to a pipe must arrive.
process.exitCode = await main(process.argv.slice(2)).catch(report)
