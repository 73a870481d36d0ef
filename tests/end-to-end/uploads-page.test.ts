/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { openStorage } from '../../analytics/duckdb-storage.ts'
import { createToken } from '../../dashboard/server/credentials.ts'
import { openDataFolder } from '../../dashboard/server/data-folder.ts'
import { registerSensor } from '../../dashboard/server/registration.ts'
import type { Receipt } from '../../schemas/catalog.ts'
import { testUpload } from '../support/batch-builder.ts'
import { findChromium, launchChromium, watchedPage } from '../support/browser.ts'
import { requireExternal } from '../support/external.ts'
import { type RunningHub, signInPath, startHirundo } from '../support/hirundo.ts'
import { TEST_GEOGRAPHY } from '../support/storage.ts'
import { synCapture } from '../support/syn-capture.ts'

// Goal: an operator gets a capture into the numbers with the page alone, over a line that breaks and through reloads,
// with or without a mouse, and sees what became of it. Method: a hub with one sensor and a real browser; where a
// transfer has to be in the middle, the test holds one request for as long as it needs.

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
/** 1.12 MB, so two pieces: one of 1 MiB and a rest. */
const PACKETS = 20_000

/** Of synCapture: the header of a record, and its packet. */
const PCAP_RECORD_BYTES = 16 + 40

/**
 * What the hub finds when it starts: a sensor without uploads and one that sent every five minutes until two hours ago.
 * @returns a token of the sensor without uploads
 */
async function makeHistory(data: string): Promise<string> {
  const MINUTE = 60_000
  let now = Date.now() - 150 * MINUTE
  const folder = openDataFolder(data)
  const storage = await openStorage({ data, geography: TEST_GEOGRAPHY, now: () => now })
  await registerSensor(storage, folder, {
    sensor: 'jp-1',
    economy: 'JP',
    organisation: '',
    telescope: '203.0.113.0/24',
  })
  await registerSensor(storage, folder, {
    sensor: 'vn-1',
    economy: 'VN',
    organisation: '',
    telescope: '198.51.100.0/24',
  })
  for (const number of [1, 2, 3, 6, 7]) {
    const upload = testUpload(dirname(data), {
      sensor: 'vn-1',
      flows: [{ time: now / 1000 - 300, src: `198.18.0.${number}` }],
    })
    const gone = number === 6 ? [{ first: 4, last: 5, reason: 'evicted' as const }] : []
    const sequence = { number, spool: '0f3a9c21', oldest: number, gone }
    const { sensor, sha256 } = upload
    await storage.recordReceived({ sensor, sha256, kind: 'batch', byte_count: 1, sequence, clock_skew_seconds: 90 })
    await storage.countGroup([upload])
    now += 5 * MINUTE
  }
  const { token } = await createToken(storage, { sensor: 'jp-1' })
  await storage.close()
  return token
}

const present = requireExternal('Chromium', findChromium() !== null)

describe.skipIf(!present)('the uploads page in Chromium', { timeout: 120_000 }, () => {
  let folder: string
  let hub: RunningHub
  let browser: Browser
  let page: Page
  let token: string
  let seed = 0
  let complaints: string[] = []

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'hirundo-uploads-page-'))
    const data = join(folder, 'data')
    token = await makeHistory(data)
    hub = await startHirundo(['serve', '--port', '0', '--data', data])
    browser = await launchChromium()
  }, 120_000)

  afterAll(async () => {
    await browser?.close()
    await hub?.stop()
    if (folder) rmSync(folder, { recursive: true, force: true })
  })

  afterEach(async () => {
    await page?.context().close()
    expect(complaints).toEqual([])
  })

  async function open(path: string, options: BrowserContextOptions = {}): Promise<void> {
    complaints = []
    page = await watchedPage(browser, options, text => {
      // The browser itself writes a line for an answer that is no success.
      if (!/status of 4\d\d/.test(text)) complaints.push(text)
    })
    // The browser's own box, which a test can fill; files with handles have a test of their own.
    await page.addInitScript(() => Reflect.deleteProperty(window, 'showOpenFilePicker'))
    page.on('request', request => {
      if (request.url().includes(token)) complaints.push(`the token is in ${request.url()}`)
    })
    await page.goto(`${hub.url}${path}`)
    await page.locator('h1').waitFor()
  }

  async function signIn(): Promise<void> {
    await page.getByLabel('Token of the sensor').fill(token)
    await page.getByText('Use token').click()
    await page.getByText('Captures go to the sensor jp-1.').waitFor()
  }

  /** A capture that no other test sends. */
  function capture(name: string, packets = 50, bytes?: Uint8Array): string {
    const path = join(folder, name)
    writeFileSync(path, bytes ?? content(packets))
    return path
  }
  const content = (packets = 50) => synCapture(++seed * 2, packets, [203, 0, 113])

  const choose = (...paths: string[]) => page.locator('input[type=file]').setInputFiles(paths)
  const upload = (name: string) => page.locator(`[data-upload="${name}"]`)
  const phase = (name: string, is: string) => page.locator(`[data-upload="${name}"][data-phase=${is}]`).waitFor()

  /** Opens the sign-in link that the hub printed; it works as often as one likes on the hub's own machine. */
  async function openAsCoordinator(options: BrowserContextOptions = {}): Promise<void> {
    await open(signInPath(hub), options)
    await page.waitForURL(`${hub.url}/`)
  }

  const row = (sha256: string, state: string) =>
    page.locator(`table.receipts tbody tr[data-sha256="${sha256}"][data-state=${state}]`)

  async function receipts(): Promise<Receipt[]> {
    const response = await fetch(`${hub.url}/api/v1/receipts`, { headers: { authorization: `Bearer ${token}` } })
    return ((await response.json()) as { receipts: Receipt[] }).receipts
  }

  /** Lets the first piece through and holds those after it until the page is gone or `release` is called. */
  async function holdSecondPiece(): Promise<{ held: Promise<void>; release: () => Promise<void> }> {
    const pattern = /\/api\/v1\/uploads\/.+/
    let tell = (): void => {}
    const held = new Promise<void>(resolve => {
      tell = resolve
    })
    let pieces = 0
    let isReleased = false
    const waiting: (() => void)[] = []
    await page.route(pattern, async route => {
      if (route.request().method() === 'PATCH' && ++pieces > 1 && !isReleased) {
        tell()
        await new Promise<void>(resolve => waiting.push(resolve))
      }
      await route.continue().catch(() => undefined)
    })
    return {
      held,
      async release() {
        isReleased = true
        for (const go of waiting) go()
        await page.unroute(pattern)
      },
    }
  }

  it('takes a capture by keyboard alone, goes on after a reload, and says that it is counted', async () => {
    const path = capture('walk.pcap', PACKETS)
    await open('/')
    // From the sign-in page of a closed hub to the uploads, and the token in.
    await page.getByRole('link', { name: 'Uploads' }).focus()
    await page.keyboard.press('Enter')
    await page.waitForURL(`${hub.url}/uploads`)
    await page.getByLabel('Token of the sensor').waitFor()
    await tabTo('#upload-token')
    await page.keyboard.type(token)
    await page.keyboard.press('Enter')
    await page.getByText('Captures go to the sensor jp-1.').waitFor()

    const line = await holdSecondPiece()
    await tabTo('input[type=file]')
    const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.keyboard.press('Space')])
    await chooser.setFiles(path)
    await line.held
    await upload('walk.pcap').getByText('Sending').waitFor()
    expect(await upload('walk.pcap').locator('progress').getAttribute('max')).toBe(String(readFileSync(path).length))
    await page.reload()
    await line.release()

    // The page says which file it waits for, and how far it had come; the token is still there.
    await phase('walk.pcap', 'file')
    expect(await upload('walk.pcap').innerText()).toContain('Choose this file again')
    expect(await upload('walk.pcap').innerText()).toContain('1.05 MB of')
    const sent: string[] = []
    page.on('request', request => {
      if (request.method() === 'PATCH') sent.push(request.headers()['upload-offset']!)
    })
    await tabTo('input[type=file]')
    const [again] = await Promise.all([page.waitForEvent('filechooser'), page.keyboard.press('Space')])
    await again.setFiles(path)
    await phase('walk.pcap', 'received')
    // What was on the hub's disk is not sent again.
    expect(Math.min(...sent.map(Number))).toBeGreaterThanOrEqual(1024 * 1024)

    const row = page.locator('table.receipts tbody tr[data-state=counted]')
    await row.waitFor()
    expect(await row.innerText()).toContain('20,000')
    const [receipt] = await receipts()
    expect(receipt).toMatchObject({ state: 'counted', packet_count: PACKETS, kind: 'capture' })
    expect(await row.getAttribute('data-sha256')).toBe(receipt!.sha256)
  })

  /** Presses Tab until the focus is there; everything must be reached in one round. */
  async function tabTo(selector: string): Promise<void> {
    for (let steps = 0; steps < 40; steps++) {
      if (await page.evaluate(wanted => document.activeElement?.matches(wanted) === true, selector)) return
      await page.keyboard.press('Tab')
    }
    throw new Error(`${selector} is not reached by Tab`)
  }

  it('goes on by itself after a reload where the browser opens the file again', async () => {
    const bytes = readFileSync(capture('handle.pcap', PACKETS))
    await open('/uploads')
    await signIn()
    // A file of the page's own file system: a real handle, for which no browser asks.
    await page.evaluate(async text => {
      const root = await navigator.storage.getDirectory()
      const handle = await root.getFileHandle('handle.pcap', { create: true })
      const writer = await handle.createWritable()
      await writer.write(Uint8Array.from(atob(text), letter => letter.charCodeAt(0)))
      await writer.close()
      Object.assign(window, { showOpenFilePicker: async () => [handle] })
    }, bytes.toString('base64'))
    const line = await holdSecondPiece()
    await page.getByText('Choose files').click()
    await line.held
    await page.reload()
    await line.release()
    await phase('handle.pcap', 'received')
    await page.locator('table.receipts tbody tr').first().waitFor()
    expect((await receipts())[0]).toMatchObject({ byte_count: bytes.length })
  })

  it('goes on after the line broke', async () => {
    await open('/uploads')
    await signIn()
    let cuts = 0
    await page.route(/\/api\/v1\/uploads\/.+/, async route => {
      if (route.request().method() === 'PATCH' && cuts++ === 0) await route.abort('connectionreset')
      else await route.continue().catch(() => undefined)
    })
    await choose(capture('broken-line.pcap', PACKETS))
    await phase('broken-line.pcap', 'received')
    expect(cuts).toBeGreaterThan(1)
    // The browser's own line about the cut.
    expect(complaints.splice(0).every(text => text.includes('ERR_CONNECTION_RESET'))).toBe(true)
  })

  it('pauses, goes on and gives up, and shows how far it is wherever one looks', async () => {
    await open('/uploads')
    await signIn()
    const line = await holdSecondPiece()
    await choose(capture('paused.pcap', PACKETS), capture('next.pcap'))
    await line.held
    await phase('next.pcap', 'queued')
    await page.getByRole('link', { name: 'Overview' }).click()
    await page.getByRole('link', { name: /^Uploads \d+ %$/ }).click()
    await page.getByRole('button', { name: 'Pause: paused.pcap' }).click()
    await phase('paused.pcap', 'paused')
    await line.release()
    // The next file does not wait for one that is paused.
    await phase('next.pcap', 'received')
    await page.getByRole('button', { name: 'Go on: paused.pcap' }).click()
    await phase('paused.pcap', 'received')
    await page.getByRole('button', { name: 'Remove: paused.pcap' }).click()
    expect(await upload('paused.pcap').count()).toBe(0)

    const other = await holdSecondPiece()
    await choose(capture('given-up.pcap', PACKETS))
    await other.held
    const cancelled = page.waitForRequest(request => request.method() === 'DELETE')
    await page.getByRole('button', { name: 'Cancel: given-up.pcap' }).click()
    expect((await (await cancelled).response())?.status()).toBe(204)
    await other.release()
    await page.reload()
    await page.getByText('Captures go to the sensor jp-1.').waitFor()
    expect(await upload('given-up.pcap').count()).toBe(0)
  })

  it('takes dropped files, asks about what is no capture, and says what became of one that cannot be read', async () => {
    await open('/uploads')
    await signIn()
    const damaged = synCapture(++seed * 2, 5, [203, 0, 113]).slice()
    damaged.fill(0xff, 24)
    const transfer = await page.evaluateHandle(
      bytes => {
        const dropped = new DataTransfer()
        dropped.items.add(new File([new Uint8Array(bytes)], 'damaged.pcap'))
        dropped.items.add(new File(['PK\u0003\u0004 not a capture'], 'captures.zip'))
        dropped.items.add(new File([], 'empty.pcap'))
        return dropped
      },
      [...damaged],
    )
    await page.dispatchEvent('.drop', 'drop', { dataTransfer: transfer })
    await phase('empty.pcap', 'refused')
    await phase('captures.zip', 'asks')
    await phase('damaged.pcap', 'received')
    await page.getByRole('button', { name: 'Send it all the same: captures.zip' }).click()
    await phase('captures.zip', 'received')
    const unreadable = page.locator('table.receipts tbody tr[data-state=quarantined]')
    await expect.poll(() => unreadable.count()).toBe(2)
    const text = (await unreadable.allInnerTexts()).join('\n')
    expect(text).toContain('CAPTURE_FORMAT_UNKNOWN')
    expect(text).toContain('Send the capture itself')
    expect(text).toContain('CAPTURE_RECORD_INVALID')
    expect(text).toContain('If the original is whole, send that')
    // The bytes were received before: nothing is sent, and no second receipt made.
    const before = (await receipts()).length
    await page.getByRole('button', { name: 'Remove: damaged.pcap' }).click()
    await page.dispatchEvent('.drop', 'drop', { dataTransfer: transfer })
    await phase('damaged.pcap', 'received')
    expect((await receipts()).length).toBe(before)
  })

  it('takes no token that may not send, keeps none that is refused, and forgets one when told', async () => {
    await open('/uploads')
    await page.getByLabel('Token of the sensor').fill('hirundo_nonsense')
    await page.keyboard.press('Enter')
    await page.locator('.problem', { hasText: 'UNAUTHENTICATED' }).waitFor()
    expect(await page.evaluate(() => JSON.stringify([{ ...sessionStorage }, { ...localStorage }]))).toBe('[{},{}]')
    await signIn()
    await page.reload()
    await page.getByText('Captures go to the sensor jp-1.').waitFor()
    await page.getByText('Forget token').click()
    await page.getByLabel('Token of the sensor').waitFor()
    expect(await page.evaluate(() => JSON.stringify([{ ...sessionStorage }, { ...localStorage }]))).toBe('[{},{}]')
    expect(await page.locator('table.receipts').count()).toBe(0)
  })

  it('lets a coordinator choose the sensor without a token', async () => {
    await openAsCoordinator()
    await page.getByRole('link', { name: 'Uploads' }).click()
    await choose(capture('of-nobody.pcap'))
    await page.getByText('First say above which sensor they are of.').waitFor()
    await page.locator('#upload-sensor').selectOption('jp-1')
    await choose(capture('of-coordinator.pcap'))
    await phase('of-coordinator.pcap', 'received')
    expect((await receipts())[0]!.sensor).toBe('jp-1')
  })

  it('lets the operator decide about an upload of traffic that came before, and shows what that changes', async () => {
    await open('/uploads')
    await signIn()
    const bytes = content()
    const shorter = bytes.subarray(0, bytes.length - PCAP_RECORD_BYTES)
    const [first, second] = [bytes, shorter].map(one => createHash('sha256').update(one).digest('hex')) as [
      string,
      string,
    ]
    await choose(capture('first.pcap', 50, bytes))
    await row(first, 'counted').waitFor()
    await choose(capture('second.pcap', 49, shorter))
    await row(second, 'held').waitFor()
    const said = await row(second, 'held').innerText()
    expect(said).toContain(`Holds traffic that came before, in ${first.slice(0, 12)} (`)
    expect(said).toContain('CAPTURE_OVERLAPS')
    expect(said).toContain('withdraw one of them')

    // From the sensors to what waits for a decision.
    await page.locator('table.health a[href$="state=held"]').click()
    await page.waitForURL(`${hub.url}/uploads?v=1&state=held`)
    await row(first, 'counted').waitFor({ state: 'detached' })
    await row(second, 'held')
      .getByRole('button', { name: /^Count it, too/ })
      .click()
    await page.getByText('No upload is held back.').waitFor()
    await page.getByRole('link', { name: 'Show all' }).click()
    await row(second, 'counted').waitFor()

    const withdraw = row(first, 'counted').getByRole('button', { name: /^Withdraw/ })
    await withdraw.click()
    await page.keyboard.press('Escape')
    await page.locator('dialog.withdraw').waitFor({ state: 'detached' })
    await withdraw.click()
    // What changes nothing has the focus.
    await page.locator('dialog.withdraw button:focus', { hasText: 'Keep it' }).waitFor()
    expect(await page.locator('dialog.withdraw').innerText()).toContain('50 packets')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await row(first, 'withdrawn').waitFor()
    await page.locator('#fate-title:focus').waitFor()
    await page.locator('table.health a[href$="state=withdrawn"]', { hasText: /^1$/ }).waitFor()
    const state = async (sha256: string) => (await receipts()).find(receipt => receipt.sha256 === sha256)?.state
    expect([await state(first), await state(second)]).toEqual(['withdrawn', 'counted'])

    await row(first, 'withdrawn')
      .getByRole('button', { name: /^Count it again/ })
      .click()
    await row(first, 'counted').waitFor()
  })

  it('tries an unreadable upload again', async () => {
    await open('/uploads')
    await signIn()
    const bytes = Buffer.from('PK\u0003\u0004 tried again')
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    await choose(capture('again.zip', 0, bytes))
    await page.getByRole('button', { name: 'Send it all the same: again.zip' }).click()
    await row(sha256, 'quarantined').waitFor()
    const tried = page.waitForResponse(response => response.url().includes('/retry'))
    await row(sha256, 'quarantined')
      .getByRole('button', { name: /^Try again/ })
      .click()
    expect(await (await tried).json()).toMatchObject({ sha256, state: 'received' })
    await page.locator('[role=status]', { hasText: 'It is tried again.' }).waitFor()
    await row(sha256, 'quarantined').waitFor()
  })

  it('says on the home page that a sensor is silent, and beside the uploads how all are doing', async () => {
    await openAsCoordinator()
    const silent = page.locator('.silent')
    await silent.getByText('1 of 2 sensors is silent: vn-1.').waitFor()
    await silent.getByRole('link', { name: 'How the sensors are doing' }).click()
    await page.waitForURL(`${hub.url}/uploads`)
    const cells = page.locator('table.health tr[data-sensor=vn-1] > *')
    await cells.first().waitFor()
    const [name, last, interval, , missing, late, clock, held, unreadable] = await cells.allInnerTexts()
    expect(name).toMatch(/vn-1\s+silent/)
    expect(last).toMatch(/^\w{3} \d+ \w+ \d{4} \d\d:\d\d$/)
    expect([interval, late, clock, held, unreadable]).toEqual(['5 min', '0', '+90 s', '0', '0'])
    expect(missing).toMatch(/^2\s+no\. 4–5: the spool was full$/)
    expect(await page.locator('table.health tr[data-sensor=jp-1]').innerText()).not.toContain('silent')
    await page.context().close()
    // A sensor sees itself.
    await open('/uploads')
    expect(await page.locator('table.health').count()).toBe(0)
    await signIn()
    await page.locator('table.health tr[data-sensor=jp-1]').waitFor()
    expect(await page.locator('table.health tbody tr').count()).toBe(1)
  })

  it('has no finding of axe in either theme, and fits 320 pixels', async () => {
    await open('/uploads', { viewport: { width: 320, height: 640 } })
    const found: string[] = []
    for (const state of ['closed', 'open']) {
      if (state === 'open') {
        await signIn()
        await choose(capture('axe.pcap'), capture('empty.pcap', 0, new Uint8Array()))
        await phase('axe.pcap', 'received')
        await phase('empty.pcap', 'refused')
        await page.locator('table.receipts tbody tr').first().waitFor()
        await page.locator('table.health tbody tr').first().waitFor()
      }
      await page.evaluate(AXE)
      found.push(...(await axeFindings(state)))
      // In the other theme colours are all that is different.
      await page.emulateMedia({ colorScheme: 'dark' })
      found.push(...(await axeFindings(`${state}, dark`, 'color-contrast')))
      await page.emulateMedia({ colorScheme: 'light' })
      expect(await page.evaluate(() => document.documentElement.scrollWidth), state).toBeLessThanOrEqual(320)
      const small = await page.evaluate(() =>
        [...document.querySelectorAll('a[href], button, select, .button, progress + button')]
          .filter(
            item =>
              item.checkVisibility() &&
              !item.closest('.skip, .visually-hidden, .visually-hidden-until-focus, footer p, p:not(.ways) > a'),
          )
          .map(item => ({ text: item.outerHTML.slice(0, 120), box: item.getBoundingClientRect() }))
          .filter(({ box }) => box.height < 23.9 || box.width < 8)
          .map(({ text }) => text),
      )
      expect(small, state).toEqual([])
    }
    // Cards keep the columns' names, and nothing has to be scrolled sideways.
    const card = page.locator('table.receipts tbody tr').first()
    expect(await card.innerText()).toMatch(/Size\s+[\d.]+ k?B/)
    expect(
      await page
        .locator('.scroll:has(.cards)')
        .evaluateAll(boxes => boxes.filter(box => box.scrollWidth > box.clientWidth).length),
    ).toBe(0)
    expect(found).toEqual([])
  })

  async function axeFindings(where: string, rule?: string): Promise<string[]> {
    const violations = await page.evaluate(async only => {
      const { axe } = globalThis as unknown as {
        axe: { run(options: object): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> }
      }
      return (await axe.run(only === undefined ? {} : { runOnly: [only] })).violations
    }, rule)
    return violations.map(({ id, nodes }) => `${where} ${id}: ${nodes[0]!.html}`)
  }

  it('speaks Japanese where the browser does', async () => {
    await open('/uploads', { locale: 'ja-JP' })
    await page.getByLabel('センサーのトークン').fill(token)
    await page.keyboard.press('Enter')
    await page.getByText('センサー jp-1 のキャプチャとして送ります。').waitFor()
    expect(await page.locator('main [lang=ja] h1').innerText()).toBe('アップロード')
  })
})
