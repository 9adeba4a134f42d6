import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import {
  chromium, type Browser, type BrowserContextOptions, type JSHandle, type Page
} from 'playwright-core'
import { t as file, type Test } from 'tap'
import type { Teardown } from './servers'

/** Where systems put a browser of the Chromium family. */
const USUAL_PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe'
]

const ARGS = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // Names for sites of a test; nothing else but this machine is ever looked up.
  '--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'
]

/** Milliseconds for what a page should do: longer than a busy machine takes, for a clear error. */
const PAGE_TIMEOUT = 15_000

/** Milliseconds for a file of browser tests, on a busy machine. */
const FILE_TIMEOUT = 60_000

/** The browser to run: `CHROMIUM_PATH`, whatever it says, or the first of `places` with a file. */
export function findChromium (
  { CHROMIUM_PATH: path = '' }: NodeJS.ProcessEnv, places: readonly string[] = USUAL_PLACES
): string | null {
  return path !== '' ? path : places.find((place) => existsSync(place)) ?? null
}

/**
 * Why tests that need the browser at `path` are skipped, or false.
 *
 * @throws where nothing may be skipped: in continuous integration, which sets `CI`
 */
export function whySkip (path: string | null, { CI = '' }: NodeJS.ProcessEnv): string | false {
  if (path !== null) return false
  const reason = 'no Chromium found: install it or set CHROMIUM_PATH'
  if (CI !== '' && CI !== 'false') throw new Error(reason)
  return reason
}

/** A test that needs a browser, and is skipped, with the reason, where there is none. */
export function browserTest (title: string, run: (t: Test) => Promise<void>): void {
  const skip = whySkip(findChromium(process.env), process.env)
  file.setTimeout(FILE_TIMEOUT)
  file.test(title, { skip }, run)
}

let browser: Promise<Browser> | null = null

/** Starts a headless browser; the caller closes it. */
export function launchChromium (args: readonly string[] = []): Promise<Browser> {
  const executablePath = findChromium(process.env) ?? ''
  return chromium.launch({ executablePath, args: [...ARGS, ...args] })
}

/** The one browser of a test file, with a process, and so a file, of its own. */
function theBrowser (): Promise<Browser> {
  if (browser === null) {
    const launched = browser = launchChromium()
    file.teardown(async () => { await (await launched).close() })
  }
  return browser
}

/**
 * A page in a browser profile of its own, closed with the test, at the HTTP address that
 * belongs to `origin`. An error that its scripts throw fails the test.
 */
export async function openPage (
  t: Teardown, origin: string, options: BrowserContextOptions = {}
): Promise<Page> {
  const context = await (await theBrowser()).newContext(options)
  t.teardown(() => context.close())
  context.setDefaultTimeout(PAGE_TIMEOUT)
  const page = await context.newPage()
  const errors: Error[] = []
  page.on('pageerror', (error) => { errors.push(error) })
  t.teardown(() => { if (errors[0] !== undefined) throw errors[0] })
  await page.goto(origin.replace('ws', 'http'))
  return page
}

/**
 * Serves the page that the tests drive at `/`, and once more at `/sandbox`, where it is of no
 * origin.
 */
export function declarePage (fastify: FastifyInstance): void {
  for (const [path, policy] of [['/', ''], ['/sandbox', 'sandbox allow-scripts']] as const) {
    fastify.get(path, async (_request, reply) => {
      reply.type('text/html; charset=utf-8').header('content-security-policy', policy)
      return '<!doctype html><title>Client</title><script src="/page.js"></script>'
    })
  }
  fastify.get('/page.js', async (_request, reply) => {
    reply.type('text/javascript; charset=utf-8')
    return readFile(join(__dirname, '..', 'browser', 'page.js'))
  })
}

/** How a connection ended, as a page saw it. */
export interface PageClose {
  readonly code: number
  readonly reason: string
  readonly wasClean: boolean
}

/** The client in `test/browser/page.js`. */
export interface PageClient {
  /** The part of the browser's WebSocket that tests use. */
  readonly socket: {
    binaryType: string
    readonly bufferedAmount: number
    readonly extensions: string
    readonly protocol: string
    readyState: number
    send (data: string | ArrayBuffer | ArrayBufferView | Blob): void
    close (code?: number, reason?: string): void
  }
  /** Every event but `message`, in order. */
  readonly events: readonly string[]
  /** The length of all messages so far: bytes, and characters of text. */
  readonly received: number
  readonly ready: Promise<unknown>
  readonly closed: Promise<PageClose>
  next (): Promise<string | ArrayBuffer | Blob>
}

/** A client in the page that has connected, or has failed to. */
export async function openClient (
  page: Page, url: string, protocols: string | readonly string[] = []
): Promise<JSHandle<PageClient>> {
  // The class is defined by a script of the page, which no type check sees.
  const client = await page.evaluateHandle(
    `new Client(${JSON.stringify(url)}, ${JSON.stringify(protocols)})`
  ) as JSHandle<PageClient>
  await client.evaluate(async ({ ready }) => { await ready })
  return client
}

/** How the connection of a client ended, when it has. */
export function closeOf (client: JSHandle<PageClient>): Promise<PageClose> {
  return client.evaluate(({ closed }) => closed)
}

/** The next message of a client, if that is text; anything else is `{}`. */
export function nextText (client: JSHandle<PageClient>): Promise<unknown> {
  return client.evaluate((client) => client.next())
}
