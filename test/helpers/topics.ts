import { once } from 'node:events'
import type { ClientOptions } from 'ws'
import type { WebSocketStreamServer, WebSocketStreamServerOptions } from '../../src/stream/server'
import type { StreamSocket } from '../../src/stream/socket'
import { connect, type Client } from './client'
import type { Teardown } from './servers'
import { serveStreams } from './streams'

/** A connection: the socket of the server, and its client. */
export interface Member {
  readonly socket: StreamSocket
  readonly client: Client
}

/** A server without Fastify, and connections to it. */
export interface Room {
  readonly server: WebSocketStreamServer
  readonly members: Member[]
}

/** Connects `count` clients to a stream server. None of them is subscribed. */
export async function createRoom (
  t: Teardown, count: number, options: WebSocketStreamServerOptions = {},
  clientOptions: ClientOptions = { perMessageDeflate: false }
): Promise<Room> {
  const { server, origin } = await serveStreams(t, options)
  const members: Member[] = []
  for (let i = 0; i < count; i++) members.push(await join(t, server, origin, clientOptions))
  return { server, members }
}

/** One more connection to a stream server. */
export async function join (
  t: Teardown, server: WebSocketStreamServer, origin: string,
  clientOptions: ClientOptions = { perMessageDeflate: false }
): Promise<Member> {
  const [[socket], client] = await Promise.all([
    once(server, 'connection'), connect(t, origin, clientOptions)
  ])
  return { socket, client }
}

/** The texts that a client has got, up to `last`, which is one of them. */
export async function textsUntil (client: Client, last: string): Promise<string[]> {
  const texts: string[] = []
  while (texts.at(-1) !== last) texts.push(await client.nextText())
  return texts
}
