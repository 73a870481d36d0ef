import type { CommandArguments } from '../../../schemas/command.ts'
import { TelescopeError } from '../../../schemas/errors.ts'

/** Below the current folder, so that all commands of one place work on one hub. */
export const DATA_DEFAULT = 'data'

/** @throws USAGE when the option was not given */
export function textOption(values: CommandArguments['values'], name: string): string {
  const value = values[name]
  if (typeof value === 'string') return value
  throw new TelescopeError('USAGE', `option --${name} is missing`, { option: name })
}

/** @throws USAGE */
export function portOption(values: CommandArguments['values'], name: string): number {
  const text = textOption(values, name)
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text)
  throw new TelescopeError('USAGE', `option --${name} is "${text}", expected a port from 0 to 65535`, { option: name })
}
