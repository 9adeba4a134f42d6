import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Socket, AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import type { FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { echo } from './plugin'
import { RawClient } from './raw'
import { createFastify, listen, portOf } from './servers'
import { CERTIFICATE } from './tls'
import { watchProcess } from './uncaught'

/** Milliseconds. */
export const CLOSE_TIMEOUT = 200

/** Bytes of `/big`: more than the operating system keeps for a client that does not read. */
export const LARGE_ANSWER = 16_000_000

/** A plain request of a path, to send by a raw client. */
export function get (path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`
}

/** What a test serves, all of it optional. */
export interface Pipelined {
  https?: boolean
  /** Another `upgrade` listener of the server. */
  stranger?: ((request: IncomingMessage, transport: Duplex) => void) | undefined
}

/**
 * Routes whose answers are slow or large, and the WebSocket route `/ws`, for clients that send an
 * upgrade before they have the answer to an earlier request.
 */
export async function serveSlowly (t: Test, { https = false, stranger }: Pipelined = {}) {
  const uncaught = watchProcess(t)
  const fastify = https
    // The types of Fastify tell an instance with TLS from one without.
    ? createFastify(t, { https: CERTIFICATE } as FastifyServerOptions)
    : createFastify(t)
  if (stranger !== undefined) fastify.server.on('upgrade', stranger)
  const answers: Array<() => void> = []
  fastify.register(fastifyWebsocket, { closeTimeout: CLOSE_TIMEOUT })
  fastify.get('/sync', (_request, reply) => { reply.send('sync') })
  fastify.get('/slow', (_request, reply) => {
    answers.push(() => { reply.send('slow') })
  })
  fastify.get('/parts', (_request, reply) => {
    reply.hijack().raw.write('part')
    answers.push(() => { reply.raw.write('part') })
  })
  fastify.get('/big', (_request, reply) => { reply.send(Buffer.alloc(LARGE_ANSWER)) })
  fastify.get('/ws', { websocket: true }, echo)
  const connected: Socket[] = []
  fastify.server.on(https ? 'secureConnection' : 'connection', (socket) => {
    connected.push(socket)
  })
  await listen(fastify)
  const begin = async (): Promise<RawClient> => {
    if (!https) return new RawClient(t, portOf(fastify.server))
    const { port } = fastify.server.address() as AddressInfo
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
    await once(socket, 'secureConnect')
    return new RawClient(t, port, socket)
  }
  /** The socket of a client that has just sent an upgrade. */
  const upgraded = async (client: RawClient, packet: string): Promise<Socket> => {
    const event = once(fastify.server, 'upgrade')
    client.write(packet)
    const [, transport] = await event
    return transport
  }
  return { fastify, answers, begin, upgraded, connected, uncaught }
}

/** Waits for the end of a socket; not `once` of node:events, which rejects on an error. */
export async function closed (socket: Duplex): Promise<void> {
  if (socket.closed) return
  await new Promise((resolve) => { socket.once('close', resolve) })
}
