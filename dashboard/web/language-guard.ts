/**
 * Imported before uPlot, which hands `navigator.language` to Intl while it loads. A browser started with LANG=C.UTF-8
 * says `en-US@posix`, which is no language tag: Intl throws, and the page would stay blank.
 */
try {
  new Intl.NumberFormat(navigator.language)
} catch {
  Object.defineProperty(navigator, 'language', { value: 'en-US', configurable: true })
}

export {}
