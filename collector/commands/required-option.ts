import type { CommandArguments } from '../../schemas/command.ts'
import { TelescopeError } from '../../schemas/errors.ts'

/** @throws USAGE when the option was not given, or is empty */
export function requiredOption(command: string, values: CommandArguments['values'], name: string): string {
  const value = values[name]
  if (typeof value === 'string' && value !== '') return value
  throw new TelescopeError('USAGE', `${command}: --${name} is missing; see hirundo ${command} --help`)
}
