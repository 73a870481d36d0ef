/**
 * Characters that a terminal may obey, or that hide or reorder what follows: controls (C0, DEL, C1), line and
 * paragraph separators, marks of direction, invisible ones, halves of surrogate pairs.
 */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu
/** The same as far as JSON text does not write them as escapes by itself. */
const UNSAFE_IN_JSON = /[\u007f-\u009f\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

/** Text from outside (names of files, text in captures) for a terminal or a log: unsafe characters become `\x1b`. */
export function visibleText(text: string): string {
  return text.replace(UNSAFE, character => {
    const code = character.codePointAt(0)!
    return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`
  })
}

/** A value as JSON that is safe to look at on a terminal, and reads back as the same value. */
export function visibleJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(UNSAFE_IN_JSON, character =>
    // Characters beyond 16 bits are two escapes in JSON.
    Array.from(
      { length: character.length },
      (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`,
    ).join(''),
  )
}
