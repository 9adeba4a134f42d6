// Makes the picture of the chat in the README: `node --import tsx test/browser/screenshot.ts`.
import { join } from 'node:path'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { joinAs, say } from '../helpers/chat'
import { launchChromium } from '../helpers/chromium'
import { ROOT, startExample } from '../helpers/program'

const FILE = join(ROOT, 'docs', 'chat.png')

const WIDE: BrowserContextOptions = {
  colorScheme: 'light', viewport: { width: 720, height: 480 }
}
const NARROW: BrowserContextOptions = {
  colorScheme: 'dark', viewport: { width: 375, height: 480 }
}

async function openChat (
  browser: Browser, address: string, name: string, options: BrowserContextOptions
): Promise<Page> {
  const page = await browser.newPage({ ...options, locale: 'en-GB' })
  await page.clock.setFixedTime(new Date(2026, 0, 1, 9, 41))
  await page.goto(address)
  await joinAs(page, name)
  return page
}

async function take (page: Page): Promise<string> {
  await page.mouse.move(0, 0)
  const png = await page.screenshot()
  return `<img src="data:image/png;base64,${png.toString('base64')}">`
}

async function makePicture (browser: Browser, address: string): Promise<void> {
  const ada = await openChat(browser, address, 'Ada', WIDE)
  const grace = await openChat(browser, address, 'Grace', NARROW)
  await say(ada, 'Is this thing on?')
  await say(grace, 'Loud and clear. What is behind it?')
  await say(ada, 'One Fastify route, two streams.')
  await grace.getByText('two streams').waitFor()

  const page = await browser.newPage({ viewport: { width: 1135, height: 500 } })
  await page.setContent(`
    <style>
      body { margin: 10px; display: flex; gap: 20px; }
      img { height: 480px; border-radius: 16px; box-shadow: 0 0 0 1px #8884; }
    </style>
    ${await take(ada)}${await take(grace)}`)
  await page.screenshot({ path: FILE, omitBackground: true })
}

async function main (): Promise<void> {
  const closes: Array<() => unknown> = []
  const chat = startExample({ teardown: (close) => { closes.push(close) } }, 'chat/server.ts')
  const browser = await launchChromium()
  closes.push(() => browser.close())
  try {
    await makePicture(browser, await chat.address())
  } finally {
    for (const close of closes) await close()
  }
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
