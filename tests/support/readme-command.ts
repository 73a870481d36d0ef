import { readFileSync } from 'node:fs'
import { ROOT } from './external.ts'

/**
 * The one command in README.md's code blocks that contains `part`, without its comment; a line that ends with `|` or
 * with a backslash goes on in the next. Tests that run it hold that the README tells the truth.
 * @param replacements what stands there for an example, and what to put in its place; all of them must occur
 */
export function readmeCommand(part: string, replacements: Readonly<Record<string, string>>): string {
  const blocks = readFileSync(`${ROOT}README.md`, 'utf8')
    .split(/^```.*$/m)
    .filter((_, index) => index % 2 === 1)
  const lines = blocks.flatMap(block => block.replace(/\\\n\s*|(?<=\|)\n\s*/g, ' ').split('\n'))
  const found = lines.filter(line => line.includes(part))
  if (found.length !== 1) throw new Error(`README.md: "${part}" is in ${found.length} commands, expected in one`)
  let command = found[0]!.replace(/\s+# .*$/, '')
  for (const [example, real] of Object.entries({ ...replacements, 'bin/hirundo': `'${ROOT}bin/hirundo'` })) {
    if (!command.includes(example)) throw new Error(`README.md: "${example}" is not in "${command}"`)
    command = command.replaceAll(example, real)
  }
  return command
}
