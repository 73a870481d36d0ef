/** Light, dark, or as the system says. Remembered where the browser lets us; private windows may not. */

const THEMES = ['auto', 'light', 'dark'] as const
export type Theme = (typeof THEMES)[number]

const STORAGE_KEY = 'hirundo.theme'

export function readTheme(): Theme {
  try {
    const stored = localStorage.getItem(STORAGE_KEY)
    return THEMES.find(theme => theme === stored) ?? 'auto'
  } catch {
    return 'auto'
  }
}

/** Shows the theme; without `remember` it holds for this page only. */
export function applyTheme(theme: Theme, remember: boolean): void {
  if (theme === 'auto') delete document.documentElement.dataset['theme']
  else document.documentElement.dataset['theme'] = theme
  if (!remember) return
  try {
    localStorage.setItem(STORAGE_KEY, theme)
  } catch {
    // The theme still holds until the page is left.
  }
}
