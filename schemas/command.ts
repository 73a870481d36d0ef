/**
 * What a `hirundo` command is. The launcher (`bin/main.ts`) parses the arguments by `options`, prints `usage` for
 * `--help`, and turns what `run` throws into a message and an exit status; a command never ends the process itself.
 */
export interface Command {
  /** One line for the overview. */
  readonly summary: string
  /** The full help text, first line `hirundo NAME ...`. */
  readonly usage: string
  /** As `parseArgs` of node:util takes them, so unknown options are refused in one place. */
  readonly options: Readonly<Record<string, CommandOption>>
  /** @returns the exit status: 0 all well, 3 some input was unreadable; anything else is thrown as a TelescopeError. */
  run(args: CommandArguments): Promise<number>
}

interface CommandOption {
  readonly type: 'string' | 'boolean'
  readonly short?: string
  readonly multiple?: boolean
  readonly default?: string | boolean
}

export interface CommandArguments {
  readonly values: Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>
  readonly positionals: readonly string[]
}
