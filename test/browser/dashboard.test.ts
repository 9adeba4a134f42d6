import type { Page } from 'playwright-core'
import type { Point, Update } from '../../examples/dashboard/sampler'
import { browserTest, openPage } from '../helpers/browser'
import { connect, refused } from '../helpers/client'
import { startDashboard, TOKEN, type Running } from '../helpers/dashboard'
import { FAINT_TEXTS } from '../helpers/faint-texts'
import type { Teardown } from '../helpers/servers'

/** Widths of windows, in pixels: phones, tablets and desks. */
const WIDTHS = [320, 375, 480, 481, 768, 980, 1280]

/** Waits until an element has a text. */
function see (page: Page, selector: string, text: string | RegExp): Promise<void> {
  return page.locator(selector).filter({ hasText: text }).waitFor()
}

/** The dashboard, running, in a page that has its token. */
async function openDashboard (t: Teardown): Promise<Running & { page: Page }> {
  const running = await startDashboard(t)
  const page = await openPage(t, `${running.dashboard}/#${TOKEN}`)
  await see(page, '#status', 'Live')
  return { ...running, page }
}

browserTest('the numbers change as clients come, talk, leave and are refused', async (t) => {
  const { page, application } = await openDashboard(t)
  await see(page, '#open', /^0$/)
  await see(page, '#refused-by', 'No upgrade was refused.')
  const clients = []
  for (let count = 0; count < 3; count++) clients.push(await connect(t, `${application}/echo`))
  await see(page, '#open', /^3$/)
  const [first, second] = clients
  for (let count = 0; count < 20; count++) {
    first?.send('x'.repeat(100))
    await first?.next()
  }
  first?.close(4000)
  second?.close()
  for (let count = 0; count < 2; count++) await refused(t, `${application}/private`)
  await see(page, '#open', /^1$/)
  await see(page, '#totals li:nth-child(2)', /^Messages in20$/)
  await see(page, '#totals li:nth-child(4)', /^Payload in2.0 KiB$/)
  await see(page, '#closed-by', /4000 1/)
  await see(page, '#closed-by', /1005 no code1/)
  await see(page, '#refused', /^2$/)
  await see(page, '#refused-by', /^401 2$/)

  t.equal(await page.locator('canvas').count(), 4)
  const chart = page.locator('[data-chart=connections]')
  const label = await chart.locator('.plot').getAttribute('aria-label')
  t.equal(label, 'The last five minutes. Now: open 1')
  const time = chart.locator('.legend span').first()
  t.equal(await time.innerText(), '')
  await chart.locator('.u-over').hover()
  t.match(await time.innerText(), /^\d\d:\d\d:\d\d$/, 'the values of the time that is pointed at')
})

/** The series of the charts, and their colors in light and in dark, as the style sheet has them. */
const SERIES = {
  'connections open': { light: '#4f46e5', dark: '#8f89ff' },
  'messages received': { light: '#4f46e5', dark: '#8f89ff' },
  'messages sent': { light: '#0b7d83', dark: '#35c4c9' },
  'delay delay': { light: '#4f46e5', dark: '#8f89ff' },
  'delay longestDelay': { light: '#c8680a', dark: '#f5b454' },
  'refusals refused': { light: '#c62b4b', dark: '#ff7a93' }
}

/** Whether any pixel of a chart has a color. */
function isDrawn (page: Page, chart: string, color: string): Promise<boolean> {
  return page.evaluate<boolean>(`(() => {
    const canvas = document.querySelector('[data-chart=${chart}] canvas')
    const { width, height } = canvas
    const { data } = canvas.getContext('2d').getImageData(0, 0, width, height)
    const pixels = new Uint32Array(data.buffer)
    // The bytes of a pixel are red, green, blue and opacity, and the first is the lowest.
    const [red, green, blue] = '${color}'.match(/\\w\\w/g).map((byte) => parseInt(byte, 16))
    return pixels.includes((0xff000000 | blue << 16 | green << 8 | red) >>> 0)
  })()`)
}

/** The series that are drawn in their colors. */
async function drawnSeries (page: Page, scheme: 'light' | 'dark'): Promise<string[]> {
  // The charts are drawn with the next frame.
  await page.evaluate('new Promise((resolve) => requestAnimationFrame(() => resolve()))')
  const drawn: string[] = []
  for (const [series, colors] of Object.entries(SERIES)) {
    if (await isDrawn(page, series.split(' ', 1)[0] ?? '', colors[scheme])) drawn.push(series)
  }
  return drawn
}

/** Waits until all series of `names` are drawn: a chart is drawn some frames after a change. */
async function untilDrawn (page: Page, scheme: 'light' | 'dark', names: string[]): Promise<void> {
  for (;;) {
    const drawn = await drawnSeries(page, scheme)
    if (names.every((name) => drawn.includes(name))) return
  }
}

/** A minute in which the lines of a chart are apart from each other, if anything is to be drawn. */
function minuteOf (numbers: Omit<Point, 'time'>): Point[] {
  const now = Date.now()
  return Array.from({ length: 60 }, (_, index) => ({ time: now - (60 - index) * 1000, ...numbers }))
}

browserTest('each number of a chart is drawn in its color, light and dark', async (t) => {
  const { dashboard } = await startDashboard(t)
  const headers = { authorization: `Bearer ${TOKEN}` }
  const update: Update = JSON.parse(await (await fetch(`${dashboard}/stats`, { headers })).text())
  let points = minuteOf({
    open: 5, received: 10, sent: 20, refused: 2, delay: 1, longestDelay: 4
  })
  const page = await openPage(t, dashboard)
  await page.routeWebSocket(/\/stats$/, (socket) => {
    socket.send(JSON.stringify({ ...update, points }))
  })
  const open = async (): Promise<void> => {
    await page.emulateMedia({ colorScheme: 'light' })
    await page.goto(`${dashboard}/#${TOKEN}`)
    await page.reload()
    await see(page, '#status', 'Live')
    await page.locator('[data-chart=refusals] .plot[aria-label]').waitFor()
  }
  await open()
  await untilDrawn(page, 'light', Object.keys(SERIES))
  t.strictSame(await drawnSeries(page, 'dark'), [])
  await page.emulateMedia({ colorScheme: 'dark' })
  await untilDrawn(page, 'dark', Object.keys(SERIES))
  t.strictSame(await drawnSeries(page, 'light'), [])

  points = minuteOf({ open: 5, received: 0, sent: 0, refused: 0, delay: 1, longestDelay: 1 })
  await open()
  await untilDrawn(page, 'light', ['connections open'])
  t.notOk((await drawnSeries(page, 'light')).includes('refusals refused'), 'there was none')
})

browserTest('the token leaves the address bar, and is sent in no URL', async (t) => {
  const { dashboard } = await startDashboard(t)
  const page = await openPage(t, dashboard)
  const urls: string[] = []
  page.on('request', (request) => { urls.push(request.url()) })
  page.on('websocket', (socket) => { urls.push(socket.url()) })
  await page.getByLabel('Token').fill('wrong-token-0123456789')
  await page.getByRole('button', { name: 'Open' }).click()
  await page.getByText('This token is wrong.').waitFor()
  await page.getByLabel('Token').fill(TOKEN)
  await page.getByRole('button', { name: 'Open' }).click()
  await see(page, '#status', 'Live')
  await page.reload()
  await see(page, '#status', 'Live')
  await page.goto(`${dashboard}/#short`)
  await page.getByText('This token is wrong.').waitFor()
  await page.goto(`${dashboard}/#${TOKEN}`)
  await see(page, '#status', 'Live')
  t.equal(page.url(), `${dashboard}/`)
  t.ok(urls.some((url) => url.startsWith('ws:')))
  // Playwright shows the part behind the `#`, which leaves no browser.
  for (const url of urls) t.notMatch(url.replace(/#.*/, ''), TOKEN)
  for (const url of urls) t.equal(new URL(url).host, new URL(dashboard).host)
})

browserTest('the page comes back when the server does, and asks for another token', async (t) => {
  const { page, program, dashboard } = await openDashboard(t)
  const { port } = new URL(dashboard)
  await program.kill()
  await see(page, '#status', 'Not connected')
  await page.getByText('The connection is lost.').waitFor()
  const second = await startDashboard(t, { port })
  await see(page, '#status', 'Live')
  t.ok(await page.getByText('The connection is lost.').isHidden())

  await second.program.kill()
  const DASHBOARD_TOKEN = 'another-token-0123456789'
  await startDashboard(t, { port, env: { DASHBOARD_TOKEN } })
  await page.getByRole('button', { name: 'Try now' }).click()
  await page.getByText('This token is wrong.').waitFor()
  await page.getByLabel('Token').fill(DASHBOARD_TOKEN)
  await page.getByRole('button', { name: 'Open' }).click()
  await see(page, '#status', 'Live')
})

/** How far the page is wider than the window, in pixels, and what is wider than its place. */
const OVERFLOW = `({
  page: document.documentElement.scrollWidth - innerWidth,
  parts: [...document.querySelectorAll('.card, .card *')]
    .filter((node) => node.checkVisibility() && node.clientWidth > 0)
    .filter((node) => node.scrollWidth > node.clientWidth && node.closest('.plot') === null)
    .map((node) => node.outerHTML)
})`

browserTest('everything fits and can be read, in any window, light and dark', async (t) => {
  const running = await startDashboard(t)
  const page = await openPage(t, running.dashboard)
  const check = async (state: string, least: number): Promise<void> => {
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 568 })
      const overflow = await page.evaluate(OVERFLOW)
      t.strictSame(overflow, { page: 0, parts: [] }, `${state}: ${width} pixels are enough`)
    }
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      const { count, faint } = await page.evaluate<{ count: number, faint: unknown }>(FAINT_TEXTS)
      t.ok(count >= least, `${state}: ${count} texts`)
      t.same(faint, [], `${state}: no text is faint when it is ${colorScheme}`)
    }
  }
  await check('without a token', 4)
  await page.getByLabel('Token').fill('wrong-token-0123456789')
  await page.keyboard.press('Enter')
  await page.getByText('This token is wrong.').waitFor()
  await check('with a wrong token', 4)
  await page.getByLabel('Token').fill(TOKEN)
  await page.keyboard.press('Enter')
  await refused(t, `${running.application}/private`)
  for (let code = 4000; code < 4012; code++) {
    const client = await connect(t, `${running.application}/echo`)
    client.close(code)
    await client.closed
  }
  await see(page, '#closed-by', 'and 2 more')
  await check('live', 60)
  await running.program.kill()
  await page.getByRole('button', { name: 'Try now' }).waitFor()
  await check('lost', 60)
})
