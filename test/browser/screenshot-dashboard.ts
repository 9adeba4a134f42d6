// Makes the picture of the dashboard: `node --import tsx test/browser/screenshot-dashboard.ts`.
// Its numbers are made up, so that the picture is of five whole minutes, and the same each time.
// Then `pngquant --force --ext .png docs/dashboard.png` makes it small.
import { join } from 'node:path'
import type { Browser, BrowserContextOptions } from 'playwright-core'
import type { Point, Update } from '../../examples/dashboard/sampler'
import { launchChromium } from '../helpers/chromium'
import { startDashboard, TOKEN } from '../helpers/dashboard'
import { ROOT } from '../helpers/program'

const FILE = join(ROOT, 'docs', 'dashboard.png')

const SECONDS = 300
const NOW = Date.UTC(2026, 0, 1, 9, 41)

/** The seconds in which upgrades were refused: a few all the time, and once many. */
const REFUSED = new Map([20, 66, 90, 141, 190, 231, 262, 288].map((second) => [second, 1]))
for (let second = 168; second < 180; second++) REFUSED.set(second, 2 + second % 3)

/** Something between 0 and 1 that looks random. */
function noise (seed: number): number {
  const value = Math.sin(seed * 12.9898) * 43758.5453
  return value - Math.floor(value)
}

function pointAt (second: number): Point {
  const wave = 0.5 - 0.4 * Math.cos(second / 46) + 0.1 * Math.sin(second / 11)
  const open = Math.round(1800 + 900 * wave + 12 * noise(second))
  const isBusy = second > 166 && second < 184
  const delay = 0.8 + wave + 0.8 * noise(second + 1) + (isBusy ? 5 * noise(second + 5) + 3 : 0)
  return {
    time: NOW - (SECONDS - second) * 1000,
    open,
    received: open * (0.9 + 0.12 * noise(second + 2)),
    sent: open * (1.9 + 0.2 * noise(second + 3)),
    refused: REFUSED.get(second) ?? 0,
    delay,
    longestDelay: delay * (1.3 + 2 * noise(second + 4) ** 4)
  }
}

/** @param real what a dashboard gets; its numbers are replaced */
function makeUpdate (real: Update): Update {
  const points = Array.from({ length: SECONDS }, (_, index) => pointAt(index + 1))
  return {
    points,
    memory: 143 * 1024 * 1024,
    uptime: 3 * 60 * 60,
    stats: {
      ...real.stats,
      open: points.at(-1)?.open ?? 0,
      accepted: 48_211,
      refused: [
        { statusCode: 403, code: 'FST_WS_ORIGIN_NOT_ALLOWED', count: 214 },
        { statusCode: 401, code: 'FST_JWT_AUTHORIZATION_TOKEN_EXPIRED', count: 96 },
        { statusCode: 404, code: null, count: 31 }
      ],
      closed: { 1000: 9_120, 1001: 34_902, 1005: 877, 1006: 1_204, 1013: 3 },
      unresponsive: 411,
      tooSlow: 3,
      messagesReceived: 21_804_112,
      bytesReceived: 2_930_211_840,
      messagesSent: 45_120_334,
      bytesSent: 8_402_912_256,
      messagesDropped: 12,
      messagesWaiting: 0,
      published: 45_120,
      delivered: 23_316_222,
      skipped: 0,
      subscriptions: 3_912
    }
  }
}

async function take (
  browser: Browser, address: string, update: string, options: BrowserContextOptions
): Promise<string> {
  const page = await browser.newPage({ ...options, locale: 'en-GB', timezoneId: 'UTC' })
  await page.routeWebSocket(/\/stats$/, (socket) => { socket.send(update) })
  await page.goto(`${address}/#${TOKEN}`)
  await page.getByText('Live', { exact: true }).waitFor()
  // The charts are drawn with the next frame.
  await page.evaluate('new Promise((resolve) => requestAnimationFrame(() => resolve()))')
  const png = await page.screenshot()
  return `<img src="data:image/png;base64,${png.toString('base64')}">`
}

async function makePicture (browser: Browser, address: string): Promise<void> {
  const headers = { authorization: `Bearer ${TOKEN}` }
  const real = await (await fetch(`${address}/stats`, { headers })).text()
  const update = JSON.stringify(makeUpdate(JSON.parse(real)))
  const wide = await take(browser, address, update, {
    colorScheme: 'light', viewport: { width: 1100, height: 990 }
  })
  const narrow = await take(browser, address, update, {
    colorScheme: 'dark', viewport: { width: 375, height: 990 }
  })
  const page = await browser.newPage({ viewport: { width: 1515, height: 1010 } })
  await page.setContent(`
    <style>
      body { margin: 10px; display: flex; gap: 20px; }
      img { height: 990px; border-radius: 16px; box-shadow: 0 0 0 1px #8884; }
    </style>
    ${wide}${narrow}`)
  await page.screenshot({ path: FILE, omitBackground: true })
}

async function main (): Promise<void> {
  const closes: Array<() => unknown> = []
  const { dashboard } = await startDashboard({ teardown: (close) => { closes.push(close) } })
  const browser = await launchChromium()
  closes.push(() => browser.close())
  try {
    await makePicture(browser, dashboard)
  } finally {
    for (const close of closes) await close()
  }
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
