import { escapeHtml, showRate } from './html.ts'

const WIDTH = 720
const HEIGHT = 220
const LEFT = 56
const RIGHT = 190
const TOP = 12
const BOTTOM = 28
/** Colours of Okabe and Ito, told apart by most eyes; dashes tell the lines apart in print. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56606b']
const DASHES = ['none', '6 3', '2 3', '8 3 2 3', '12 4']

export interface Line {
  readonly label: string
  /** One value a day; null is a gap in the line. */
  readonly values: readonly (number | null)[]
}

/** The first of 1, 2, 5, 10, 20 … that is not below the value, so that the axis ends on a round number. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 5, 10].map(step => step * power).find(step => step >= value * 0.999_999)!
}

/** A self-contained SVG with a line for each series over the same days; the table beside it holds the numbers. */
export function lineChart(title: string, unit: string, days: readonly string[], lines: readonly Line[]): string {
  const highest = Math.max(0, ...lines.flatMap(line => line.values.map(value => value ?? 0)))
  const top = highest > 0 ? roundUp(highest) : 1
  const x = (index: number): number => LEFT + (index * (WIDTH - LEFT - RIGHT)) / Math.max(1, days.length - 1)
  const y = (value: number): number => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM)
  const at = (value: number): string => value.toFixed(1)

  const grid = [0, 0.5, 1].map(part => {
    const height = at(y(part * top))
    return `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${height}" y2="${height}" class="grid"/><text x="${LEFT - 8}" y="${height}" class="tick" text-anchor="end" dominant-baseline="middle">${showRate(part * top)}</text>`
  })
  const labels = days.map(
    (day, index) =>
      `<text x="${at(x(index))}" y="${HEIGHT - 8}" class="tick" text-anchor="middle">${escapeHtml(day.slice(5))}</text>`,
  )
  const drawn = lines.map((line, index) => {
    const look = `stroke="${COLOURS[index % COLOURS.length]}" stroke-dasharray="${DASHES[index % DASHES.length]}"`
    const middle = TOP + 10 + index * 20
    const key = `<line x1="${WIDTH - RIGHT + 16}" x2="${WIDTH - RIGHT + 44}" y1="${middle}" y2="${middle}" ${look} class="line"/><text x="${WIDTH - RIGHT + 50}" y="${middle}" class="key" dominant-baseline="middle">${escapeHtml(line.label)}</text>`
    return `<path d="${path(line.values, x, y)}" ${look} class="line"/>${points(line.values, x, y, COLOURS[index % COLOURS.length]!)}${key}`
  })
  return `<figure><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(title)}">${[...grid, ...labels, ...drawn].join('')}</svg><figcaption>${escapeHtml(`${title}; ${unit}`)}</figcaption></figure>`
}

/** A gap ends a piece of the line, so that an outage never looks like a fall. */
function path(values: Line['values'], x: (index: number) => number, y: (value: number) => number): string {
  let command = 'M'
  return values
    .map((value, index) => {
      if (value === null) {
        command = 'M'
        return ''
      }
      const step = `${command}${x(index).toFixed(1)} ${y(value).toFixed(1)}`
      command = 'L'
      return step
    })
    .join('')
}

function points(
  values: Line['values'],
  x: (index: number) => number,
  y: (value: number) => number,
  colour: string,
): string {
  return values
    .map((value, index) =>
      value === null
        ? ''
        : `<circle cx="${x(index).toFixed(1)}" cy="${y(value).toFixed(1)}" r="2.5" fill="${colour}"/>`,
    )
    .join('')
}
