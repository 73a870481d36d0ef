import { configDefaults, describeConfig } from './config.ts'
import { CONFIG_KINDS } from './config-kinds.ts'

/** The page about configuration files as Markdown, made from the tables alone. */
export function configurationPage(): string {
  const sections = Object.entries(CONFIG_KINDS).map(
    ([kind, table]) =>
      `## ${kind}\n\n${describeConfig(table)}\nWith every default:\n\n\`\`\`json\n${JSON.stringify(configDefaults(table), null, 2)}\n\`\`\`\n`,
  )
  return [
    '# Configuration files\n\nMade by `npm run generate` from the tables in `schemas/`; do not edit. A file is one JSON object. An unknown member is refused; paths are relative to the folder of the file; options on the command line win. `hirundo config check FILE` says whether it is right.\n',
    ...sections,
  ].join('\n')
}
