/** How text for people is laid out on what it is written to. */
export interface PageStyle {
  /** Columns that a line may have. */
  readonly width: number
  readonly isColored: boolean
  /** False where only ASCII can be counted on. */
  readonly hasBlocks: boolean
}

type Output = Pick<NodeJS.WriteStream, 'isTTY' | 'columns'>

const WIDTH_DEFAULT = 80
/** Below this nothing fits any more; above it bars only become longer than anybody can compare. */
const WIDTH_MIN = 60
const WIDTH_MAX = 160

/**
 * Style for an output: its width when it is a terminal, else that of COLUMNS or 80; colour on a terminal that has it,
 * unless NO_COLOR is set (no-color.org), or wherever FORCE_COLOR asks for it (force-color.org; 0 forbids it).
 */
export function pageStyle(output: Output, env: NodeJS.ProcessEnv): PageStyle {
  const term = env['TERM'] ?? ''
  const columns = output.isTTY ? output.columns : /^\d{1,4}$/.test(env['COLUMNS'] ?? '') ? Number(env['COLUMNS']) : 0
  return {
    width: Math.min(WIDTH_MAX, Math.max(WIDTH_MIN, columns || WIDTH_DEFAULT)),
    isColored: isColored(output, env, term),
    // The font of the Linux console has no eighths of a block.
    hasBlocks: term !== 'linux' && term !== 'dumb',
  }
}

function isColored(output: Output, env: NodeJS.ProcessEnv, term: string): boolean {
  const force = env['FORCE_COLOR'] ?? ''
  if (force !== '') return force !== '0' && force !== 'false'
  return (env['NO_COLOR'] ?? '') === '' && output.isTTY === true && term !== 'dumb'
}

/** What is emphasised; the words say the same, so that nothing is lost without colour. */
const SGR = { title: '1', label: '2', bar: '36', faint: '2', good: '32', doubtful: '33', error: '1;31' } as const

/** Text with colour where the style has it. */
export function paint(style: PageStyle, role: keyof typeof SGR, text: string): string {
  return style.isColored && text !== '' ? `\x1b[${SGR[role]}m${text}\x1b[0m` : text
}

/** Columns that a line takes, colour left out; for text without wide or combining characters. */
export function columnsOf(line: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the sequences that paint writes begin with one
  return line.replace(/\x1b\[[\d;]*m/g, '').length
}
