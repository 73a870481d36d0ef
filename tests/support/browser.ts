import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

/** Places where a Chromium is found on the machines that run the tests; `CHROMIUM` names another. */
const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/snap/bin/chromium']

/** The browser of this machine, or null. */
export function findChromium(): string | null {
  return [process.env['CHROMIUM'] ?? '', ...PLACES].find(path => path !== '' && existsSync(path)) ?? null
}

/** Starts a real Chromium that talks to nobody by itself. The caller closes it. */
export function launchChromium(env: Record<string, string> = {}): Promise<Browser> {
  return chromium.launch({
    executablePath: findChromium()!,
    env: { ...process.env, ...env } as Record<string, string>,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
    ],
  })
}
