/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Answer, QueryName, Status } from '../../schemas/api.ts'
import { findChromium, launchChromium, watchedPage } from '../support/browser.ts'
import { requireExternal } from '../support/external.ts'
import { type RunningHub, signInPath, startHirundo, until } from '../support/hirundo.ts'

// Goal: what people see in a real browser is what the hub answers, and they can use it with or without a mouse.
// Method: the demo as `npm start` runs it, with fewer days; numbers on the page are compared with the API, asked
// without the page's own parameters wherever the hub's defaults mean the same.

const DAYS = 16
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
/** The cursor, in the legend and aloud, works on whole buckets. */
const HOUR_MILLISECONDS = 3_600_000

const present = requireExternal('Chromium', findChromium() !== null)

describe.skipIf(!present)('the page in Chromium', { timeout: 60_000 }, () => {
  let folder: string
  let hub: RunningHub
  let browser: Browser
  let page: Page
  /** Anything that a clean page does not do: console errors, exceptions, requests to others. */
  let complaints: string[]

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'hirundo-browser-'))
    hub = await startHirundo(['demo', '--port', '0', '--data', folder, '--days', String(DAYS)])
    await until('all captures are counted', async () => {
      const { demo } = await ask<Status>('/api/v1/status')
      return demo !== null && demo.counted === demo.captures
    })
    browser = await launchChromium()
  }, 180_000)

  afterAll(async () => {
    await browser?.close()
    await hub?.stop()
    if (folder) rmSync(folder, { recursive: true, force: true })
  })

  afterEach(async () => {
    await page?.context().close()
    expect(complaints).toEqual([])
  })

  async function ask<T>(path: string): Promise<T> {
    const response = await fetch(`${hub.url}${path}`)
    expect(response.status, path).toBe(200)
    return (await response.json()) as T
  }

  /** Opens an address and waits until nothing is on its way any more. */
  async function open(path: string, options: BrowserContextOptions = {}, base = hub.url): Promise<void> {
    complaints = []
    page = await watchedPage(browser, options, text => complaints.push(text))
    page.on('request', request => {
      if (!request.url().startsWith(`${base}/`)) complaints.push(`request to ${request.url()}`)
    })
    await page.goto(`${base}${path}`)
    await settled()
  }

  async function settled(): Promise<void> {
    await page.waitForFunction(
      () =>
        document.querySelector('h1') !== null && document.querySelector('.skeleton, .read[aria-busy="true"]') === null,
      null,
      { timeout: 15_000 },
    )
  }

  /** The rows of a table as the exact values of its numbers and the text of its other cells. */
  async function tableRows(query: string): Promise<string[][]> {
    const rows = await page.locator(`table[data-query=${query}] tbody tr`).evaluateAll(list =>
      list.map(row =>
        [...row.querySelectorAll('th, td')].map(cell => {
          const data = cell.querySelector('data')
          return data ? data.value : (cell.textContent ?? '').replace(/\s+/g, ' ').trim()
        }),
      ),
    )
    return rows.map(cells => cells.map(exact))
  }

  /** The text that people read in number cells, for comparison with the exact value beside it. */
  async function numberTexts(query: string): Promise<{ value: number; text: string }[]> {
    return page
      .locator(`table[data-query=${query}] tbody data`)
      .evaluateAll(cells =>
        cells.map(cell => ({ value: Number((cell as HTMLDataElement).value), text: cell.textContent! })),
      )
  }

  /** A shown number is the exact one, rounded: to three digits, to a tenth of a percent, or not at all. */
  function expectRounded({ value, text }: { value: number; text: string }): void {
    const shown = Number(text.replaceAll(',', '').replace(/ ?%$/, '').replace(/^[<>]/, ''))
    const exact = text.endsWith('%') ? value * 100 : value
    expect(Math.abs(shown - exact), `${text} for ${value}`).toBeLessThanOrEqual(
      Math.max(0.051, Math.abs(exact) * 0.005),
    )
    if (Number.isInteger(value) && !text.endsWith('%')) expect(shown).toBe(value)
  }

  /** The hub adds fractions in whatever order its threads finish: the last digits differ from one answer to the next. */
  function exact(value: number | string | null): string {
    if (value === null) return '–'
    return /^-?\d+(\.\d+)?(e-?\d+)?$/.test(String(value))
      ? String(Number(Number(value).toPrecision(10)))
      : String(value)
  }

  const answer = <N extends QueryName>(name: N, query = '') => ask<Answer<N>>(`/api/v1/${name}${query}`)

  function changeText(rank: number, previous: number | null): string {
    if (previous === null) return 'new'
    if (previous === rank) return '=same'
    return previous > rank ? `▲ up ${previous - rank} was ${previous}` : `▼ down ${rank - previous} was ${previous}`
  }

  it('shows the numbers of the hub: ports', async () => {
    await open('/')
    const { rows, meta } = await answer('ports')
    expect(rows.length).toBe(10)
    expect(await tableRows('ports')).toEqual(
      rows.map(row => [
        String(row.rank),
        changeText(row.rank, row.previous_rank),
        row.protocol.startsWith('icmp')
          ? `${row.protocol} ${row.service_port >> 8}/${row.service_port & 255}`
          : `${row.service_port}/${row.protocol}`,
        row.service ?? '–',
        String(row.src_addr_unique_count),
        exact(row.packets_per_addr_day),
        String(row.packet_count),
        exact(row.share),
        exact(row.mirai_share),
      ]),
    )
    for (const cell of await numberTexts('ports')) expectRounded(cell)
    const note = await page.locator('section[aria-labelledby=ports-title]').innerText()
    for (const sensor of meta.sensors_left_out) expect(note).toContain(sensor)
  })

  it('shows the numbers of the hub: economies and sensors', async () => {
    await open('/')
    const economies = await answer('economies')
    // Names differ between versions of the same data ("Hong Kong SAR China"): the browser's own are the measure.
    const names = await page.evaluate(
      codes => codes.map(code => new Intl.DisplayNames(['en'], { type: 'region' }).of(code)!),
      economies.rows.map(row => row.economy),
    )
    expect(await tableRows('economies')).toEqual(
      economies.rows.map((row, index) => [
        String(row.rank),
        changeText(row.rank, row.previous_rank),
        `${row.economy === 'ZZ' ? 'Unknown economy' : names[index]} ${row.economy}`,
        String(row.src_addr_unique_count),
        exact(row.packets_per_addr_day),
        String(row.packet_count),
        exact(row.share),
      ]),
    )
    const sensors = await answer('sensors')
    const shown = await tableRows('sensors')
    expect(shown.map(cells => cells.slice(1, 5))).toEqual(
      sensors.rows.map(row => [
        exact(row.coverage),
        exact(row.packets_per_addr_day),
        String(row.packet_count),
        String(row.src_addr_unique_count),
      ]),
    )
    for (const cell of [...(await numberTexts('economies')), ...(await numberTexts('sensors'))]) expectRounded(cell)
  })

  it('offers exactly what is shown as JSON and CSV', async () => {
    await open('/?v=1&range=24h&class=scan&rows=25')
    const links = page.locator('section[aria-labelledby=ports-title] .downloads a')
    const [json, csv] = await links.evaluateAll(list => list.map(link => link.getAttribute('href')!))
    const { rows } = await ask<Answer<'ports'>>(json!)
    const shown = await tableRows('ports')
    expect(shown.map(cells => cells[4])).toEqual(rows.map(row => String(row.src_addr_unique_count)))
    expect(shown.length).toBe(25)
    const text = await (await fetch(`${hub.url}${csv}`)).text()
    expect(text.trim().split(/\r?\n/).length).toBe(1 + shown.length)
  })

  it('says that the data is a demo, and how much of it', async () => {
    for (const path of ['/', '/port/tcp/23', '/nowhere', '/sign-in']) {
      await open(path)
      const { demo } = await ask<Status>('/api/v1/status')
      const banner = await page.locator('.demo').innerText()
      expect(banner, path).toContain('DEMO DATA')
      const percent = Number(/are ([\d.<]+) %/.exec(banner)![1])
      expect(percent).toBeCloseTo(demo!.scale * 100, 1)
      if (path !== '/sign-in') await page.context().close()
    }
  })

  it('zooms by dragging, puts it into the address, and goes back', async () => {
    await open('/')
    const area = (await page.locator('.plot .u-over').boundingBox())!
    const y = area.y + area.height / 2
    await page.mouse.move(area.x + area.width * 0.25, y)
    await page.mouse.down()
    await page.mouse.move(area.x + area.width * 0.5, y, { steps: 5 })
    await page.mouse.up()
    await page.waitForURL(/since=/)
    await settled()
    const { searchParams } = new URL(page.url())
    const { data_until } = await ask<Status>('/api/v1/status')
    const weekStart = Date.parse(data_until!) - 7 * 24 * HOUR_MILLISECONDS
    const [since, end] = ['since', 'until'].map(name => Date.parse(searchParams.get(name)!))
    // A quarter of 168 hours from hour 42, to whole hours outwards.
    expect(Math.abs((since! - weekStart) / HOUR_MILLISECONDS - 42)).toBeLessThanOrEqual(1)
    expect(Math.abs((end! - since!) / HOUR_MILLISECONDS - 43)).toBeLessThanOrEqual(1)
    expect(searchParams.get('v')).toBe('1')

    const zoomed = await answer('ports', `?since=${searchParams.get('since')}&until=${searchParams.get('until')}`)
    if (zoomed.rows.length > 0) {
      expect((await tableRows('ports')).map(cells => cells[6])).toEqual(
        zoomed.rows.map(row => String(row.packet_count)),
      )
    }
    await page.reload()
    await settled()
    expect(new URL(page.url()).searchParams.get('since')).toBe(searchParams.get('since'))

    await page.locator('.plot .u-over').dblclick({ position: { x: area.width / 2, y: 40 } })
    await page.waitForURL(url => !url.search.includes('since'))
    await page.goBack()
    await page.waitForURL(/since=/)
    await page.goBack()
    await page.waitForURL(url => url.search === '')
    await settled()
    const usual = await answer('ports')
    await expect
      .poll(async () => (await tableRows('ports')).map(cells => cells[6]))
      .toEqual(usual.rows.map(row => String(row.packet_count)))
  })

  it('follows a port to its page', async () => {
    await open('/')
    await page.locator('table[data-query=ports] a', { hasText: /^23\/tcp$/ }).click()
    await page.waitForURL(/\/port\/tcp\/23$/)
    await settled()
    expect(await page.locator('h1').innerText()).toContain('23/tcp telnet')
    expect(await page.title()).toContain('23/tcp')
    const own = (await answer('ports', '?protocol=tcp&port=23')).rows[0]!
    const ranked = (await answer('ports', '?limit=1000')).rows.find(
      row => row.protocol === 'tcp' && row.service_port === 23,
    )!
    const figures = await page
      .locator('.figures data')
      .evaluateAll(list => list.map(item => (item as HTMLDataElement).value))
    expect(figures.map(exact)).toEqual(
      [
        ranked.rank,
        own.src_addr_unique_count,
        own.packets_per_addr_day,
        own.packet_count,
        ranked.share,
        own.mirai_share,
      ].map(exact),
    )
    const sources = await answer('sources', '?protocol=tcp&port=23')
    const shown = await tableRows('sources')
    expect(shown.map(cells => [cells[0], cells[2], cells[4]])).toEqual(
      sources.rows.map(row => [row.src_addr, String(row.packet_count), String(row.sensor_count)]),
    )
    // Packets of all sensors add up to the packets of the port, those included that a comparison leaves out.
    const everywhere = (await answer('ports', '?protocol=tcp&port=23&compare=none')).rows[0]!
    const sensors = await tableRows('port-sensors')
    expect(sensors.reduce((sum, cells) => sum + Number(cells[2]), 0)).toBe(everywhere.packet_count)
    const all = await answer('sensors')
    expect(sensors.map(cells => Number(cells[4]!))).toEqual(all.rows.map(row => expect.closeTo(row.coverage, 6)))
  })

  it('takes protocols and economies in the search box', async () => {
    await open('/')
    for (const [text, query] of [
      ['icmp', /protocol=icmp/],
      ['Indonesia', /economy=ID/],
      ['th', /economy=TH/],
    ] as const) {
      await page.locator('#port-box').fill(text)
      await page.keyboard.press('Enter')
      await page.waitForURL(query)
    }
    await page.locator('#port-box').fill('icmp 8/0')
    await page.keyboard.press('Enter')
    await page.waitForURL(/\/port\/icmp\/2048/)
    await settled()
  })

  it('lists as rising only what rose, as it says of scan packets', async () => {
    await open('/')
    const items = await page.locator('.rising li').allInnerTexts()
    expect(items.length).toBeGreaterThan(0)
    expect(await page.locator('section[aria-labelledby=rising-title]').innerText()).toContain('Of scan packets')
    for (const item of items) {
      const factor = /×([\d.,]+)/.exec(item)?.[1]
      if (factor) expect(Number(factor.replaceAll(',', '')), item).toBeGreaterThanOrEqual(1.5)
      else expect(item).toContain('new')
    }
  })

  it('hatches no hour that is still to come', async () => {
    const today = new Date().toISOString().slice(0, 10)
    const tomorrow = new Date(Date.now() + 24 * HOUR_MILLISECONDS).toISOString().slice(0, 10)
    const after = new Date(Date.now() + 48 * HOUR_MILLISECONDS).toISOString().slice(0, 10)
    await open(`/?v=1&since=${tomorrow}&until=${after}`)
    expect(await page.locator('section[aria-labelledby=reporting-title]').innerText()).toContain('not begun yet')
    expect(await page.locator('.hatch-note').count()).toBe(0)
    await open(`/?v=1&since=${today}&until=${tomorrow}`)
    expect(await page.locator('.strip-bar rect.outside').count()).toBeGreaterThan(0)
  })

  it('says on an open hub that nobody has to sign in', async () => {
    await open('/sign-in')
    expect(await page.title()).toContain('Sign in')
    await page.getByText('Go to the numbers').click()
    await page.waitForURL(`${hub.url}/`)
    await settled()
    await open('/nowhere')
    expect(await page.title()).toContain('No such page')
    // The browser itself reports the status, and nothing else is wrong.
    expect(complaints.splice(0)).toEqual([expect.stringContaining('status of 404')])
  })

  it('can be walked by keyboard alone', async () => {
    await open('/')
    await page.keyboard.press('Tab')
    expect(await page.evaluate(() => document.activeElement!.className)).toBe('skip')
    await page.keyboard.press('Enter')
    expect(await page.evaluate(() => document.activeElement!.id)).toBe('main')

    await page.keyboard.press('?')
    expect(await page.locator('dialog.help').isVisible()).toBe(true)
    await page.keyboard.press('Escape')
    expect(await page.locator('dialog.help').isVisible()).toBe(false)

    await page.keyboard.press('t')
    expect(await page.evaluate(() => document.activeElement!.textContent)).toBe('7 days')
    await page.keyboard.press('Shift+Tab')
    await page.keyboard.press('Shift+Tab')
    await page.keyboard.press('Enter')
    await page.waitForURL(/since=/)
    await settled()
    await page.goBack()
    await settled()

    await page.keyboard.press('/')
    await page.keyboard.type('telnet')
    await page.keyboard.press('Enter')
    await page.waitForURL(/\/port\/tcp\/23$/)
    await settled()
    expect(await page.evaluate(() => document.activeElement!.tagName)).toBe('H1')

    await page.reload()
    await settled()
    // Everything that can be used is reached by Tab, in one round, and shows where the focus is.
    const wanted = await page.evaluate(
      () =>
        [...document.querySelectorAll('a[href], button:not(:disabled), summary, input, [tabindex="0"]')].filter(
          item => item.checkVisibility({ visibilityProperty: true }) && (item as HTMLInputElement).type !== 'radio',
        ).length,
    )
    const reached = new Set<string>()
    for (let steps = 0; steps < wanted * 2; steps++) {
      await page.keyboard.press('Tab')
      const focus = await page.evaluate(() => {
        const item = document.activeElement!
        if (item === document.body) return null
        const all = [...document.querySelectorAll('*')]
        const shown = (item as HTMLInputElement).type === 'radio' ? item.parentElement! : item
        const style = getComputedStyle(shown)
        return { id: String(all.indexOf(item)), outline: style.outlineStyle, radio: shown !== item }
      })
      if (focus === null) break
      expect(focus.outline).not.toBe('none')
      if (!focus.radio) reached.add(focus.id)
    }
    expect(reached.size).toBeGreaterThanOrEqual(wanted)
  })

  it('reads the chart by keyboard: aloud, in the legend, and zooming', async () => {
    await open('/')
    await page.locator('.plot').focus()
    await page.keyboard.press('Home')
    await page.keyboard.press('ArrowRight')
    const spoken = await page.locator('traffic-chart [aria-live]').innerText()
    const { rows } = await answer('traffic', '?class=scan')
    const second = [...new Set(rows.map(row => row.bucket_start))].sort()[1]!
    expect(spoken).toContain(second.slice(11, 16))
    const rate = rows.find(row => row.bucket_start === second)!.packets_per_addr_day!
    const legend = await page.locator('.legend-item', { hasText: 'scan' }).locator('b').innerText()
    expectRounded({ value: rate, text: legend })
    expect(spoken).toContain(`scan ${legend}`)
    expect(spoken).toMatch(/\d of 6 sensors listening/)

    await page.keyboard.press('Shift+ArrowRight')
    await page.keyboard.press('Shift+ArrowRight')
    await page.keyboard.press('Enter')
    await page.waitForURL(/since=/)
    const { searchParams } = new URL(page.url())
    const [since, end] = ['since', 'until'].map(name => Date.parse(searchParams.get(name)!))
    expect(since).toBe(Date.parse(second))
    expect(end! - since!).toBe(3 * HOUR_MILLISECONDS)
    await settled()
    await page.locator('.plot').focus()
    await page.keyboard.press('Escape')
    await page.waitForURL(url => url.search === '')
  })

  it('has the chart as a table, with the same numbers', async () => {
    await open('/?v=1&measure=packets&bucket=day')
    await page.locator('figure details summary').first().click()
    await page.locator('figure table tbody tr').first().waitFor()
    const cells = await page
      .locator('figure table tbody tr')
      .evaluateAll(rows => rows.map(row => [...row.querySelectorAll('data')].map(item => Number(item.value))))
    const { rows } = await answer('traffic', '?bucket=86400')
    const days = [...new Set(rows.map(row => row.bucket_start))].sort()
    expect(cells).toEqual(
      days.map(day =>
        ['scan', 'backscatter', 'other'].map(
          series => rows.find(row => row.bucket_start === day && row.series === series)?.packet_count ?? 0,
        ),
      ),
    )
  })

  it('never lets a late answer stand under a newer question', async () => {
    await open('/')
    let held = 0
    await page.route(/\/api\/v1\/ports\?.*limit=10(&|$)/, async route => {
      if (held++ === 0) await new Promise(resolve => setTimeout(resolve, 1500))
      await route.continue().catch(() => undefined)
    })
    await page.locator('.presets a', { hasText: /^28 days$/ }).click()
    await page.waitForTimeout(100)
    await page.locator('.presets a', { hasText: /^1 day$/ }).click()
    await settled()
    await page.waitForTimeout(2000)
    expect(held).toBeGreaterThan(1)
    const json = await page.locator('section[aria-labelledby=ports-title] .downloads a').first().getAttribute('href')
    const { rows, meta } = await ask<Answer<'ports'>>(json!)
    expect(Date.parse(meta.until) - Date.parse(meta.since)).toBe(24 * HOUR_MILLISECONDS)
    expect((await tableRows('ports')).map(cells => cells[6])).toEqual(rows.map(row => String(row.packet_count)))
  })

  it('says which filters leave nothing, and offers the way out', async () => {
    await open('/port/tcp/23?v=1&class=backscatter&economy=AQ')
    const empty = page.locator('.empty').first()
    expect(await empty.innerText()).toContain('Source economy AQ')
    await empty.getByText('Clear filters').click()
    await page.waitForURL(url => url.pathname === '/port/tcp/23' && url.search === '')
    await settled()
    expect(await page.locator('.figures data').count()).toBe(6)
  })

  it('filters by menu and by following a row', async () => {
    await open('/')
    await page.locator('.filters summary', { hasText: 'Class' }).click()
    await page.locator('.filters label', { hasText: 'backscatter' }).click()
    await page.waitForURL(/class=backscatter/)
    await settled()
    const { rows } = await answer('economies', '?class=backscatter')
    await expect
      .poll(async () => (await tableRows('economies')).map(cells => cells[3]))
      .toEqual(rows.map(row => String(row.src_addr_unique_count)))
    await page.locator('table[data-query=economies] a').first().click()
    await page.waitForURL(new RegExp(`economy=${rows[0]!.economy}`))
    await page.locator('.chip button').first().click()
    await page.waitForURL(url => !url.search.includes('class='))
    expect(page.url()).toContain(`economy=${rows[0]!.economy}`)
  })

  it('explains each column in the words of the dictionary', async () => {
    await open('/')
    await page.locator('table[data-query=ports] .define', { hasText: 'Mirai-like' }).click()
    expect(await page.locator('.definition').innerText()).toContain('Part of the packets that are Mirai-like, 0 to 1.')
    await page.keyboard.press('Escape')
    expect(await page.locator('.definition').isVisible()).toBe(false)
    expect(await page.evaluate(() => document.activeElement!.textContent)).toBe('Mirai-like')
  })

  it.each(['light', 'dark'] as const)('has no finding of axe in the %s theme', async colorScheme => {
    const found: string[] = []
    for (const path of ['/', '/port/tcp/23']) {
      // Days keep the tables under the charts short.
      await open(`${path}?v=1&bucket=day`, { colorScheme })
      await page.evaluate(() => {
        for (const item of document.querySelectorAll('details')) item.open = item.className !== 'menu'
      })
      await page.evaluate(AXE)
      const { violations } = await page.evaluate(() =>
        (
          globalThis as unknown as {
            axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> }
          }
        ).axe.run(),
      )
      found.push(...violations.map(({ id, nodes }) => `${path} ${id}: ${nodes[0]!.html}`))
      if (path === '/') await page.context().close()
    }
    expect(found).toEqual([])
  })

  it('fits a window of 320 pixels', async () => {
    for (const path of ['/', '/port/tcp/23']) {
      await open(path, { viewport: { width: 320, height: 640 } })
      const width = await page.evaluate(() => document.documentElement.scrollWidth)
      expect(width, path).toBeLessThanOrEqual(320)
      const small = await page.evaluate(() =>
        [...document.querySelectorAll('a[href], button, summary, .segments label, .check')]
          .filter(
            item =>
              item.checkVisibility() &&
              !item.closest('.skip, .visually-hidden, .visually-hidden-until-focus, footer p'),
          )
          .map(item => ({ text: item.outerHTML.slice(0, 120), box: item.getBoundingClientRect() }))
          .filter(({ box }) => box.height < 23.9 || box.width < 8)
          .map(({ text, box }) => `${box.width} × ${box.height}: ${text}`),
      )
      expect(small, path).toEqual([])
      if (path === '/') await page.context().close()
    }
  })

  it('remembers the theme, and shows it before anything else', async () => {
    await open('/')
    await page.locator('.segments label', { hasText: 'Dark' }).click()
    await page.reload()
    await settled()
    expect(await page.evaluate(() => document.documentElement.dataset['theme'])).toBe('dark')
    expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).toBe('rgb(13, 21, 30)')
  })

  it('works in a browser whose language is no language', async () => {
    const odd = await launchChromium({ LANG: 'C.UTF-8', LC_ALL: 'C.UTF-8' })
    try {
      complaints = []
      page = await (await odd.newContext()).newPage()
      page.on('pageerror', error => complaints.push(String(error.stack)))
      await page.goto(`${hub.url}/`)
      await page.locator('.plot canvas').waitFor()
    } finally {
      await odd.close()
    }
  })

  it('asks for a token where reading is not open, and says when there is no data', async () => {
    const data = mkdtempSync(join(tmpdir(), 'hirundo-sign-in-'))
    const closed = await startHirundo(['serve', '--port', '0', '--data', data])
    try {
      await open('/', {}, closed.url)
      await page.locator('#token-box').fill('not-a-token')
      await page.keyboard.press('Enter')
      await page.locator('.sign-in .problem').waitFor()
      expect(await page.locator('.sign-in .problem').innerText()).toContain('UNAUTHENTICATED')
      // The browser itself writes a line for each 401.
      expect(complaints.splice(0).filter(text => !text.includes('401'))).toEqual([])
      await page.goto(`${closed.url}${signInPath(closed)}`)
      await page.waitForURL(`${closed.url}/`)
      await page.locator('h1', { hasText: 'No data yet' }).waitFor()
    } finally {
      await closed.stop()
      rmSync(data, { recursive: true, force: true })
    }
  })
})
