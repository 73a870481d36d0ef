const LEVELS = { error: 3, warning: 4, info: 6 } as const
type LogLevel = keyof typeof LEVELS

/**
 * Writes one line an event for people: time, level, text. Under systemd the level goes in front as sd-daemon(3) says,
 * and the journal has the time. Text from outside cannot begin a line or command a terminal.
 */
export function logEvent(level: LogLevel, text: string): void {
  const line = text.replaceAll(/\p{Cc}/gu, '?')
  const isJournal = process.env['JOURNAL_STREAM'] !== undefined
  const head = isJournal ? `<${LEVELS[level]}>` : `${new Date().toISOString().slice(0, 19)}Z ${level} `
  process.stderr.write(`${head}${line}\n`)
}
