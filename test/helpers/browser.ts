import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import type { Browser, BrowserContextOptions, JSHandle, Page } from 'playwright-core'
import { t as file, type Test } from 'tap'
import { findChromium, launchChromium, NOT_FOUND } from './chromium'
import { whySkip } from './optional'
import { startExample, type Program } from './program'
import type { Teardown } from './servers'

/** Milliseconds for what a page should do: longer than a busy machine takes, for a clear error. */
const PAGE_TIMEOUT = 15_000

/** Milliseconds for a file of browser tests, on a busy machine. */
const FILE_TIMEOUT = 90_000

/** A test that needs a browser, and is skipped, with the reason, where there is none. */
export function browserTest (title: string, run: (t: Test) => Promise<void>): void {
  const skip = whySkip(findChromium(process.env) !== null, NOT_FOUND)
  file.setTimeout(FILE_TIMEOUT)
  file.test(title, { skip }, run)
}

let browser: Promise<Browser> | null = null

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
 * belongs to `origin`. An error that scripts throw, in it or in its other tabs, fails the test.
 */
export async function openPage (
  t: Teardown, origin: string, options: BrowserContextOptions = {}
): Promise<Page> {
  const context = await (await theBrowser()).newContext(options)
  t.teardown(() => context.close())
  context.setDefaultTimeout(PAGE_TIMEOUT)
  const errors: Error[] = []
  context.on('weberror', (thrown) => { errors.push(thrown.error()) })
  t.teardown(() => { if (errors[0] !== undefined) throw errors[0] })
  const page = await context.newPage()
  await page.goto(origin.replace('ws', 'http'))
  return page
}

/** Starts the chat, on a free port if no other is given. */
export function startChat (t: Teardown, port?: string): Program {
  return startExample(t, 'chat/server.ts', port)
}

/** The chat, running, in a tab of a profile of its own. */
export async function openChat (t: Teardown, options?: BrowserContextOptions) {
  const program = startChat(t)
  const address = await program.address()
  return { program, address, page: await openPage(t, address, options) }
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
