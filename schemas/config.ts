import { TelescopeError } from './errors.ts'

/**
 * Configuration files: one JSON object, each member described by one entry of a table, from which the check, the type
 * and the documentation derive. An unknown member is refused, because a misspelt one would silently be the default.
 */

type ConfigField = {
  /** What it does, with unit and default. */
  readonly doc: string
  readonly required?: true
} & (
  | { readonly type: 'text'; readonly default?: string; readonly names?: readonly string[] }
  | { readonly type: 'integer'; readonly default?: number; readonly minimum: number; readonly maximum: number }
  | { readonly type: 'boolean'; readonly default?: boolean }
  | { readonly type: 'texts'; readonly default?: readonly string[] }
)

export type ConfigTable = Readonly<Record<string, ConfigField>>

type FieldValue<F extends ConfigField> = F extends { type: 'text'; names: readonly (infer N extends string)[] }
  ? N
  : { text: string; integer: number; boolean: boolean; texts: readonly string[] }[F['type']]

export type ConfigValues<T extends ConfigTable> = {
  readonly [N in keyof T]: T[N] extends { required: true } | { default: unknown }
    ? FieldValue<T[N]>
    : FieldValue<T[N]> | undefined
}

/**
 * Reads the text of a configuration file.
 * @param where name of the file, for messages
 * @throws CONFIG_INVALID with line and member
 */
export function parseConfig<T extends ConfigTable>(text: string, table: T, where: string): ConfigValues<T> {
  const given = configJson(text, where)
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(table, name)) continue
    throw invalid(
      where,
      lineOfMember(text, name),
      `member "${name}" is unknown; known are ${Object.keys(table).join(', ')}`,
    )
  }
  const values = Object.entries(table).map(([name, field]) => {
    const value = given[name]
    if (value === undefined) {
      if (field.required) throw invalid(where, null, `member "${name}" is missing: ${field.doc}`)
      return [name, field.default]
    }
    const expected = expectation(field, value)
    if (expected === null) return [name, value]
    throw invalid(
      where,
      lineOfMember(text, name),
      `member "${name}" is ${JSON.stringify(value)?.slice(0, 60)}, expected ${expected}`,
    )
  })
  return Object.fromEntries(values) as ConfigValues<T>
}

/**
 * The members of a configuration file, unchecked.
 * @throws CONFIG_INVALID
 */
export function configJson(text: string, where: string): Record<string, unknown> {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    const position = /position (\d+)/.exec((error as Error).message)
    throw invalid(
      where,
      position ? lineOf(text, Number(position[1])) : null,
      'is no JSON; look for a missing comma or quote',
    )
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw invalid(where, 1, 'is no JSON object')
  return json as Record<string, unknown>
}

/** @returns what the value had to be; null when it is that */
function expectation(field: ConfigField, value: unknown): string | null {
  switch (field.type) {
    case 'text':
      if (field.names) return field.names.includes(value as string) ? null : `one of ${field.names.join(', ')}`
      return typeof value === 'string' && value !== '' ? null : 'a text that is not empty'
    case 'integer': {
      const fits =
        Number.isSafeInteger(value) && (value as number) >= field.minimum && (value as number) <= field.maximum
      return fits ? null : `a whole number from ${field.minimum} to ${field.maximum}`
    }
    case 'boolean':
      return typeof value === 'boolean' ? null : 'true or false'
    case 'texts':
      return Array.isArray(value) && value.every(item => typeof item === 'string' && item !== '')
        ? null
        : 'a list of texts that are not empty'
  }
}

function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length
}

function lineOfMember(text: string, name: string): number | null {
  const offset = text.indexOf(`${JSON.stringify(name)}`)
  return offset < 0 ? null : lineOf(text, offset)
}

function invalid(where: string, line: number | null, what: string): TelescopeError {
  const place = line === null ? where : `${where}, line ${line}`
  return new TelescopeError('CONFIG_INVALID', `configuration ${place}: ${what}`, { path: where, line })
}

/** What the table's members mean, as Markdown rows: the documentation of a configuration file. */
export function describeConfig(table: ConfigTable): string {
  const rows = Object.entries(table).map(([name, field]) => `| \`${name}\` | ${typeText(field)} | ${field.doc} |`)
  return `| member | value | meaning |\n|---|---|---|\n${rows.join('\n')}\n`
}

function typeText(field: ConfigField): string {
  switch (field.type) {
    case 'text':
      return field.names ? field.names.map(name => `"${name}"`).join(', ') : 'text'
    case 'integer':
      return `${field.minimum} to ${field.maximum}`
    case 'boolean':
      return 'true, false'
    case 'texts':
      return 'list of texts'
  }
}

/** The values that a file without any member has; members without a default are left out. */
export function configDefaults(table: ConfigTable): Record<string, unknown> {
  const entries = Object.entries(table).flatMap(([name, field]): [string, unknown][] => {
    if (field.type === 'text' && field.required && field.names?.length === 1) return [[name, field.names[0]]]
    return field.default === undefined ? [] : [[name, field.default]]
  })
  return Object.fromEntries(entries)
}
