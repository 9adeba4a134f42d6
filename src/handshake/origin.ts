/**
 * The option `origin`, which says from which web pages a client may connect: whether its value is
 * valid, and the check of requests that it describes.
 */
import type { IncomingMessage } from 'node:http'
import type { FastifyRequest } from 'fastify'
import type { AllowedOrigin, OriginCheck, WebsocketConnectionOptions } from '../types'

type OriginMatcher = (origin: string, request: FastifyRequest) => boolean

const SAME_HOST = 'same-host'

/** Pages of apps and browser extensions have other schemes, and names that are not hosts. */
const WEB_PAGE = /^https?:/

/** The origin that browsers send for a file or a sandboxed frame (RFC 6454 section 7.3). */
const OPAQUE = 'null'

/** The valid values of the option, in words. */
export const ORIGIN =
  "'same-host', an origin such as 'https://example.com', a RegExp, a list of these, " +
  'a function or false'

/** Whether the value of the option can match an origin. */
export function isOriginOption (value: unknown): boolean {
  if (typeof value === 'function') return true
  return Array.isArray(value) ? value.every(isAllowedOrigin) : isAllowedOrigin(value)
}

function isAllowedOrigin (value: unknown): boolean {
  return value instanceof RegExp || value === SAME_HOST || isSerializedOrigin(value)
}

/** Whether a browser would send this text: no path, no default port, no capital letters. */
function isSerializedOrigin (value: unknown): boolean {
  if (value === OPAQUE) return true
  if (typeof value !== 'string' || NO_ORIGIN.test(value) || !URL.canParse(value)) return false
  const { origin } = new URL(value)
  // For schemes such as `chrome-extension:` the class URL gives no origin.
  return origin === OPAQUE ? CUSTOM_ORIGIN.test(value) : origin === value
}

/** A wildcard, or the URL of the WebSocket itself: users may take these for an origin. */
const NO_ORIGIN = /\*|^wss?:/

const CUSTOM_ORIGIN = /^[a-z][a-z\d+.-]*:\/\/[^/?#]+$/

/**
 * The check that the option describes, or null if every origin is allowed. Unless the option is a
 * function, a request without `Origin` passes: such a client is not a browser, and could have sent
 * any origin.
 */
export function createOriginCheck (
  allowed: NonNullable<WebsocketConnectionOptions['origin']>
): OriginCheck | null {
  if (allowed === false) return null
  if (typeof allowed === 'function') return allowed
  const matchers = [allowed].flat().map(createMatcher)
  return (origin, request) => {
    return origin === undefined || matchers.some((matches) => matches(origin, request))
  }
}

function createMatcher (allowed: AllowedOrigin): OriginMatcher {
  // `test` would begin behind its last match if the pattern is global. `search` never does.
  if (allowed instanceof RegExp) return (origin) => origin.search(allowed) !== -1
  if (allowed === SAME_HOST) return isSameHost
  return (origin) => origin === allowed
}

/** Whether a page comes from the host and port to which the request was sent. */
function isSameHost (origin: string, { host }: FastifyRequest): boolean {
  if (!WEB_PAGE.test(origin) || !URL.canParse(origin)) return false
  const page = new URL(origin)
  // The class URL drops a default port, so both are parsed with the same scheme.
  const target = `${page.protocol}//${host}`
  return URL.canParse(target) && new URL(target).host === page.host
}

/** The origin that a request names. Version 8 of the protocol has a header of its own for it. */
export function originOf ({ headers }: IncomingMessage): string | undefined {
  const isDraft = headers['sec-websocket-version'] === '8'
  return (isDraft ? headers['sec-websocket-origin'] : headers.origin)?.toString()
}
