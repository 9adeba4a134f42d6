/**
 * The subprotocol and the extensions of an upgrade. ws negotiates both at the handshake, when the
 * hooks and the error handlers of the application have run already. So the headers are checked, and
 * `handleProtocols` is asked, before the reply with 101.
 */
import type { IncomingMessage } from 'node:http'
import * as ws from 'ws'
import { InvalidHandshakeError } from '../errors'
import { refusePromise } from './refuse-promise'
import { upgradeOf } from './upgrade-of'
import type { WebSocketStreamServer } from '../stream/server'

/** The parsers that ws exports, and that its types lack. */
interface HeaderParsers {
  readonly subprotocol: { parse (header: string): Set<string> }
  readonly extension: { parse (header: string): Record<string, object[]> }
  readonly PerMessageDeflate: {
    readonly extensionName: string
    new (options: object): { accept (offers: object[]): unknown }
  }
}

const { subprotocol, extension, PerMessageDeflate } = ws as unknown as HeaderParsers

type HandleProtocols = (protocols: Set<string>, request: IncomingMessage) => string | false

interface Negotiator {
  readonly server: WebSocketStreamServer
  readonly limitedServer: WebSocketStreamServer
}

/**
 * Checks the subprotocols and extensions that a client offers, and asks `handleProtocols`.
 *
 * @throws FST_WS_INVALID_HANDSHAKE, FST_WS_ASYNC_CALLBACK, and what `handleProtocols` throws
 */
export function negotiate ({ server, limitedServer }: Negotiator, request: IncomingMessage): void {
  const { headers } = request
  const { perMessageDeflate, maxPayload, handleProtocols } = limitedServer.options
  const offered = headers['sec-websocket-protocol']
  const extensions = headers['sec-websocket-extensions']
  // The application has a listener of its own for malformed handshakes, which ws will call.
  if (server.listenerCount('wsClientError') > 0) return
  if (offered !== undefined) {
    const protocols = parse('Sec-WebSocket-Protocol', () => subprotocol.parse(offered))
    handleProtocols?.(protocols, request)
  }
  if (extensions === undefined || !perMessageDeflate) return
  parse('Sec-WebSocket-Extensions', () => {
    const offers = extension.parse(extensions)[PerMessageDeflate.extensionName]
    if (offers === undefined) return
    const options = { ...Object(perMessageDeflate), isServer: true, maxPayload }
    new PerMessageDeflate(options).accept(offers)
  })
}

function parse<Result> (name: string, parseHeader: () => Result): Result {
  try {
    return parseHeader()
  } catch {
    throw new InvalidHandshakeError(`invalid ${name} header`)
  }
}

/** The option of a server for subprotocols. The types of ws do not know that it may be null. */
interface ProtocolOptions {
  handleProtocols?: HandleProtocols | null | undefined
}

/**
 * Asks the `handleProtocols` of these options once for each upgrade, although ws asks a second
 * time. That holds also for a function which an application sets later, as graphql-ws does.
 */
export function askOnce (options: ProtocolOptions): void {
  let given: HandleProtocols | null | undefined
  let asked: HandleProtocols | null = null
  const set = (handleProtocols: HandleProtocols | null | undefined): void => {
    // graphql-ws sets the same function for each connection.
    if (handleProtocols === given) return
    given = handleProtocols
    asked = handleProtocols == null ? null : askedOnce(handleProtocols)
  }
  set(options.handleProtocols)
  Object.defineProperty(options, 'handleProtocols', { enumerable: true, get: () => asked, set })
}

/** Asks the `handleProtocols` that `other` has at the time of the question. */
export function askThere (options: ProtocolOptions, other: ProtocolOptions): void {
  Object.defineProperty(options, 'handleProtocols', {
    enumerable: true,
    get: () => other.handleProtocols
  })
}

function askedOnce (handleProtocols: HandleProtocols): HandleProtocols {
  return (protocols, request) => {
    const upgrade = upgradeOf(request)
    if (upgrade === undefined) return handleProtocols(protocols, request)
    if (upgrade.protocol === undefined) {
      const chosen = handleProtocols(protocols, request)
      upgrade.protocol = refusePromise('handleProtocols', chosen) || false
    }
    return upgrade.protocol
  }
}
