import { parseArgs } from 'node:util'
import type { Command } from '../schemas/command.ts'
import { EXIT_STATUS, TelescopeError } from '../schemas/errors.ts'

/** Where each command lives; only the one that is called is loaded, so a sensor host never loads DuckDB. */
const COMMANDS: Readonly<Record<string, () => Promise<{ command: Command }>>> = {
  collect: () => import('../collector/commands/collect.ts'),
  packets: () => import('../collector/commands/packets.ts'),
  inspect: () => import('../collector/commands/inspect.ts'),
  send: () => import('../collector/commands/send.ts'),
  simulate: () => import('../fixtures/simulator/command.ts'),
  serve: () => import('../dashboard/server/commands/serve.ts'),
  sensor: () => import('../dashboard/server/commands/sensor.ts'),
  token: () => import('../dashboard/server/commands/token.ts'),
  audit: () => import('../dashboard/server/commands/audit.ts'),
  retain: () => import('../dashboard/server/commands/retain.ts'),
  snapshot: () => import('../dashboard/server/commands/snapshot.ts'),
  report: () => import('../dashboard/server/commands/report.ts'),
  demo: () => import('../dashboard/server/commands/demo.ts'),
}

async function overview(): Promise<string> {
  const lines = ['hirundo COMMAND [--help]', '']
  for (const [name, load] of Object.entries(COMMANDS))
    lines.push(`  ${name.padEnd(10)}${(await load()).command.summary}`)
  return `${lines.join('\n')}\n`
}

async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(await overview())
    return name === undefined ? EXIT_STATUS.usage : 0
  }
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (!load)
    throw new TelescopeError('USAGE', `command "${name}" is unknown; there are ${Object.keys(COMMANDS).join(', ')}`)
  const { command } = await load()
  if (rest.includes('--help') || rest.includes('-h')) {
    process.stdout.write(`${command.usage.trimEnd()}\n`)
    return 0
  }
  return await command.run(readArguments(name, command, rest))
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
