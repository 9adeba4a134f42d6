// What the tests of the heartbeat share: a client that does nothing by itself, and a clock whose
// beats pass when the test says so.
import { EventEmitter, once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect as connectTls } from 'node:tls'
import type fastifyWebsocket from '../../src/index'
import { serve, type Served } from '../helpers/plugin'
import { RawClient, upgradeHead } from '../helpers/raw'
import { portOf, type Teardown } from '../helpers/servers'
import { turn } from '../helpers/streams'
import { holdIntervals, type HeldIntervals } from '../helpers/timers'
import { CERTIFICATE } from '../helpers/tls'

/** What a handler gets first. */
export type Connection = Parameters<fastifyWebsocket.WebsocketHandler>[0]

export const FIN_BINARY = 0x82
export const PONG = 0x8a
export const PING = '\x89\x00'
export const MB = 1024 * 1024

/** Beats without a sign of life until a peer is cut off, and until one that is paused is. */
export const DEAD = 3
export const DEAD_PAUSED = 40

/** Both ends of a connection with a client that does nothing by itself, and a clock of its own. */
export interface Silent {
  readonly beats: HeldIntervals
  readonly client: RawClient
  readonly connection: Connection
  readonly request: IncomingMessage
  readonly errors: unknown[][]
  readonly closes: unknown[][]
  readonly clients: Set<unknown>
}

/** Serves `/`, without an `errorHandler` if there are logs, and connects. */
export async function connectSilent (
  t: Teardown, handle: (connection: Connection) => unknown = () => {}, served: Served = {}
): Promise<Silent> {
  const beats = holdIntervals(t)
  const errors: unknown[][] = []
  const closes: unknown[][] = []
  const handled = new EventEmitter()
  const upgraded = once(handled, 'connection')
  const hasLogs = served.server?.logger !== undefined
  const { fastify } = await serve(t, {
    plugin: hasLogs ? {} : { errorHandler: (...args) => { errors.push(args) } },
    ...served,
    declare (fastify) {
      fastify.get('/', { websocket: true }, (connection, request) => {
        connection.socket.on('close', (...args) => { closes.push(args) })
        handled.emit('connection', connection, request)
        return handle(connection)
      })
    }
  })
  const port = portOf(fastify.server)
  const isTls = served.server !== undefined && 'https' in served.server
  const client = new RawClient(t, port, isTls
    ? connectTls({ port, host: '127.0.0.1', ca: CERTIFICATE.cert })
    : undefined)
  client.write(upgradeHead('/'))
  const [connection, request] = await upgraded
  await client.until('\r\n\r\n')
  // The first finds that the handshake has come.
  await pass(beats, 1)
  return {
    beats, client, connection, request, errors, closes, clients: fastify.websocketServer.clients
  }
}

/** Turns of the event loop that a beat needs, and some more. */
const TURNS = 10

/** Lets beats pass, each with what it sets off. */
export async function pass (beats: HeldIntervals, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    beats.run()
    for (let turns = 0; turns < TURNS; turns++) await turn()
  }
}

/** Served over https. */
export const OVER_TLS: Served = {
  // Fastify's types of the helper are those of http.
  server: { https: CERTIFICATE } as object
}
