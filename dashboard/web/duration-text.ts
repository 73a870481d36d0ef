import { UPLOAD_STRINGS } from './upload-strings.ts'

/** Time left, seconds, rounded up to what people plan with. */
export function timeLeftText(seconds: number): string {
  if (seconds < 60) return UPLOAD_STRINGS.seconds(Math.max(1, Math.ceil(seconds)))
  const minutes = Math.ceil(seconds / 60)
  if (minutes < 60) return UPLOAD_STRINGS.minutes(minutes)
  return UPLOAD_STRINGS.hoursMinutes(Math.floor(minutes / 60), minutes % 60)
}

/** A duration in its largest unit of which there are two or more, rounded: `45 s`, `90 min`, `24 h`, `3 d`. */
export function roughDuration(seconds: number): string {
  if (seconds < 120) return UPLOAD_STRINGS.seconds(Math.round(seconds))
  if (seconds < 7200) return UPLOAD_STRINGS.minutes(Math.round(seconds / 60))
  if (seconds < 2 * 86_400) return UPLOAD_STRINGS.hours(Math.round(seconds / 3600))
  return UPLOAD_STRINGS.days(Math.round(seconds / 86_400))
}
