import {
  createServer, STATUS_CODES, type IncomingMessage, type Server, type ServerResponse
} from 'node:http'
import { once } from 'node:events'
import { ListenError, toError } from './errors'
import type { ListenSettings } from './options'

/** A server for upgrades alone, of the `port` option: it answers plain requests with 426. */
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

function answerPlainRequest (_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(426, { upgrade: 'websocket', 'content-type': 'text/plain' })
  response.end(STATUS_CODES[426])
}
