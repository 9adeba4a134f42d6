/**
 * The server that the plugin opens for the option `port`. It is for upgrades only.
 */
import {
  createServer, STATUS_CODES, type IncomingMessage, type OutgoingHttpHeaders, type Server,
  type ServerResponse
} from 'node:http'
import { once } from 'node:events'
import { ListenError } from '../errors'
import { toError } from '../observe/thrown'
import type { ListenSettings } from '../options/plugin-options'
import { RETRY_AFTER_EARLY } from '../protocol/retry-after'

/**
 * Creates a server that answers plain requests with 426. It answers upgrades with 503 until it has
 * an `upgrade` listener.
 */
export function createUpgradeServer (): Server {
  return createServer(answerPlainRequest)
}

/**
 * Waits until the server listens.
 *
 * @throws FST_WS_LISTEN, with the address in the message
 */
export async function listen (
  server: Server, { port, host, backlog }: ListenSettings
): Promise<void> {
  server.listen({ port, host, backlog })
  try {
    await once(server, 'listening')
  } catch (cause) {
    throw new ListenError(`${host ?? '*'}:${port}`, toError(cause).message, { cause })
  }
}

function answerPlainRequest (request: IncomingMessage, response: ServerResponse): void {
  // Without an `upgrade` listener, Node.js emits an upgrade as a plain request.
  if (request.headers.upgrade === undefined) {
    answer(response, 426, { upgrade: 'websocket' })
    return
  }
  answer(response, 503, { 'retry-after': String(RETRY_AFTER_EARLY), connection: 'close' })
}

function answer (response: ServerResponse, status: number, headers: OutgoingHttpHeaders): void {
  response.writeHead(status, { ...headers, 'content-type': 'text/plain' })
  response.end(STATUS_CODES[status])
}
