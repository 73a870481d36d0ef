import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Status } from '../schemas/api.ts'
import { launchChromium, watchedPage } from './support/browser.ts'
import { ROOT } from './support/external.ts'
import { startHirundo, until } from './support/hirundo.ts'

/** `npm run picture`: makes docs/home.png anew, of the demo in a real Chromium. */

const VIEWPORT = { width: 1280, height: 1440 }

const folder = mkdtempSync(join(tmpdir(), 'hirundo-picture-'))
const demo = await startHirundo(['demo', '--port', '0', '--data', folder])
const browser = await launchChromium()
try {
  const isCounted = async (): Promise<boolean> => {
    const status = (await (await fetch(`${demo.url}/api/v1/status`)).json()) as Status
    return status.demo?.counted === status.demo?.captures
  }
  await until('the region is counted', isCounted, 600)
  const page = await watchedPage(browser, { viewport: VIEWPORT, colorScheme: 'light' }, text => {
    throw new Error(`the page complains: ${text}`)
  })
  await page.goto(`${demo.url}/`)
  await page.locator('.plot canvas').waitFor()
  await page.locator('.skeleton, .read[aria-busy="true"]').first().waitFor({ state: 'detached' })
  await page.screenshot({ path: join(ROOT, 'docs/home.png') })
} finally {
  await browser.close()
  await demo.stop()
  rmSync(folder, { recursive: true, force: true })
}
