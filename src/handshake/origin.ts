import type { IncomingMessage } from 'node:http'
import type { FastifyRequest } from 'fastify'
import type { AllowedOrigin, OriginCheck, WebsocketConnectionOptions } from '../types'

type OriginMatcher = (origin: string, request: FastifyRequest) => boolean

const SAME_HOST = 'same-host'

/** Pages of other schemes, of apps and extensions, have names that are no hosts. */
const WEB_PAGE = /^https?:/

/** The origin of a page that has none, a file or a sandboxed frame (RFC 6454 section 7.3). */
const OPAQUE = 'null'

/** What the option must be, in words. */
export const ORIGIN =
  "'same-host', an origin such as 'https://example.com', a RegExp, a list of these, " +
  'a function or false'

/** Whether the value of the `origin` option is one that can match. */
export function isOriginOption (value: unknown): boolean {
  if (typeof value === 'function') return true
  return Array.isArray(value) ? value.every(isAllowedOrigin) : isAllowedOrigin(value)
}

function isAllowedOrigin (value: unknown): boolean {
  return value instanceof RegExp || value === SAME_HOST || isSerializedOrigin(value)
}

/** Whether a browser sends it just so: without a path, a default port or capital letters. */
function isSerializedOrigin (value: unknown): boolean {
  if (value === OPAQUE) return true
  if (typeof value !== 'string' || NO_ORIGIN.test(value) || !URL.canParse(value)) return false
  const { origin } = new URL(value)
  // Of schemes such as `chrome-extension:` a URL does not know the origin.
  return origin === OPAQUE ? CUSTOM_ORIGIN.test(value) : origin === value
}

/** What people may mean as one: a wildcard, or where the connection goes to. */
const NO_ORIGIN = /\*|^wss?:/

const CUSTOM_ORIGIN = /^[a-z][a-z\d+.-]*:\/\/[^/?#]+$/

/**
 * The check that an `origin` option describes, or null if it allows everything. What is no function
 * lets a request without `Origin` pass: that is no browser, and could have sent any.
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
  // Not `test`, which goes on from its last match if the pattern is global.
  if (allowed instanceof RegExp) return (origin) => origin.search(allowed) !== -1
  if (allowed === SAME_HOST) return isSameHost
  return (origin) => origin === allowed
}

/** Whether a page comes from the host, and port, that the request went to. */
function isSameHost (origin: string, { host }: FastifyRequest): boolean {
  if (!WEB_PAGE.test(origin) || !URL.canParse(origin)) return false
  const page = new URL(origin)
  // Parsed alike, so that a default port that one of them names makes no difference.
  const target = `${page.protocol}//${host}`
  return URL.canParse(target) && new URL(target).host === page.host
}

/** The origin that a request names. Version 8 of the protocol has a header of its own for it. */
export function originOf ({ headers }: IncomingMessage): string | undefined {
  const isDraft = headers['sec-websocket-version'] === '8'
  return (isDraft ? headers['sec-websocket-origin'] : headers.origin)?.toString()
}
