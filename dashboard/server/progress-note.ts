/** How often the line on a terminal is written anew. */
const NOTE_MILLISECONDS = 200

/** @returns a function that shows how many files were looked at, on a terminal alone; call it with null at the end */
export function progressNote(verb: string): (path: string | null) => void {
  let files = 0
  let shown = 0
  return path => {
    if (!process.stderr.isTTY) return
    if (path === null) {
      process.stderr.write('\r\u001b[K')
      return
    }
    files++
    const now = performance.now()
    if (now - shown < NOTE_MILLISECONDS) return
    shown = now
    process.stderr.write(`\r\u001b[K${verb} ${files} files: ${path.replaceAll(/\p{Cc}/gu, '?').slice(0, 60)}`)
  }
}
