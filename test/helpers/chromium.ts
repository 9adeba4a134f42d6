import { existsSync } from 'node:fs'
import { chromium, type Browser } from 'playwright-core'

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

/** Why tests of pages do not run. */
export const NOT_FOUND = 'no Chromium found: install it or set CHROMIUM_PATH'

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

/** The browser to run: `CHROMIUM_PATH`, whatever it says, or the first of `places` with a file. */
export function findChromium (
  { CHROMIUM_PATH: path = '' }: NodeJS.ProcessEnv, places: readonly string[] = USUAL_PLACES
): string | null {
  return path !== '' ? path : places.find((place) => existsSync(place)) ?? null
}

/** Starts a headless browser, which the caller closes. */
export async function launchChromium (): Promise<Browser> {
  const executablePath = findChromium(process.env)
  if (executablePath === null) throw new Error(NOT_FOUND)
  return chromium.launch({ executablePath, args: ARGS })
}
