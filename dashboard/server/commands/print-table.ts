/** Columns padded with spaces, as people and awk read them; a control character from outside becomes `?`. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const cells = [head, ...rows].map(row => row.map(cell => (cell === '' ? '-' : cell.replaceAll(/\p{Cc}/gu, '?'))))
  const widths = head.map((_, column) => Math.max(...cells.map(row => row[column]!.length)))
  for (const row of cells) {
    process.stdout.write(
      `${row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd()}\n`,
    )
  }
}
