/** Words as a line that a POSIX shell splits into the same words. */
export function commandLine(words: readonly string[]): string {
  return words.map(quoted).join(' ')
}

function quoted(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word
  // $'...' (POSIX.1-2024) keeps what a terminal would obey from reaching it.
  if (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(word)) return `$'${[...word].map(escaped).join('')}'`
  return `'${word.replaceAll("'", "'\\''")}'`
}

function escaped(character: string): string {
  if (character === "'" || character === '\\') return `\\${character}`
  if (!/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(character)) return character
  return [...Buffer.from(character)].map(byte => `\\${byte.toString(8).padStart(3, '0')}`).join('')
}
