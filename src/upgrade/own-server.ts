import {
  createServer, STATUS_CODES, type IncomingMessage, type OutgoingHttpHeaders, type Server,
  type ServerResponse
} from 'node:http'
import { once } from 'node:events'
import { ListenError } from '../errors'
import { toError } from '../observe/thrown'
import type { ListenSettings } from '../options/plugin-options'

/**
 * A server for upgrades alone, of the `port` option. It answers plain requests with 426, and
 * upgrades with 503 until it has a listener for them.
 */
export function createUpgradeServer (): Server {
  return createServer(answerPlainRequest)
}

/** @throws FST_WS_LISTEN, with the address in the message */
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

/** Seconds after which a client that came before the application was ready may come again. */
const EARLY_RETRY = 1

function answerPlainRequest (request: IncomingMessage, response: ServerResponse): void {
  // Without a listener for upgrades, Node.js takes them for plain requests.
  const isUpgrade = request.headers.upgrade !== undefined
  if (isUpgrade) answer(response, 503, { 'retry-after': String(EARLY_RETRY), connection: 'close' })
  else answer(response, 426, { upgrade: 'websocket' })
}

function answer (response: ServerResponse, status: number, headers: OutgoingHttpHeaders): void {
  response.writeHead(status, { ...headers, 'content-type': 'text/plain' })
  response.end(STATUS_CODES[status])
}
