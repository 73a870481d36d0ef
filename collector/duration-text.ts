/** A unit is used from `from` on, and for whole numbers of it. */
const UNITS = [
  { name: 'days', seconds: 86_400, from: 172_800 },
  { name: 'h', seconds: 3600, from: 7200 },
  { name: 'min', seconds: 60, from: 120 },
  { name: 's', seconds: 1, from: 1 },
  { name: 'ms', seconds: 1e-3, from: 0 },
] as const

/** A length of time for people: `30 min`, `1 h`, `23.9 h`, `1.2 s`, `250 ms`. */
export function formatDuration(seconds: number): string {
  const unit = UNITS.find(unit => seconds >= unit.from || (seconds >= unit.seconds && seconds % unit.seconds === 0))!
  const value = seconds / unit.seconds
  return `${Number(value.toFixed(1))} ${unit.name}`
}
