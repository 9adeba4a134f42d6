/**
 * The other servers of an application that listens on `localhost`: Fastify opens one for each
 * address of that name. It passes on their `upgrade` events to its main server. This file does the
 * same for the `connect` events of HTTP/2, and has those servers offer what the main one offers.
 *
 * Fastify tells of no such server. But Node.js publishes each call of `listen` on a channel, and
 * the request listener of Fastify tells which server belongs to it.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Server } from 'node:http'
import { isHttp2, offerExtendedConnect } from './http-server'

const LISTEN_CHANNEL = 'tracing:net.server.listen:asyncStart'

type MainServer = Pick<Server, 'once' | 'off' | 'emit' | 'listeners'>

/** See the header of this file. */
export class SecondServers {
  /** Whether they offer WebSockets over HTTP/2. */
  isOffered = false

  readonly #main: MainServer
  readonly #known = new Set<Server>()

  constructor (main: MainServer) {
    this.#main = main
  }

  /** Begins to notice servers as soon as the main one listens. */
  begin (): void {
    this.#main.once('listening', this.#watch)
    this.#main.once('close', this.#unwatch)
  }

  /** Ends `begin`. */
  end (): void {
    this.#main.off('listening', this.#watch)
    this.#main.off('close', this.#unwatch)
    this.#unwatch()
    for (const server of this.#known) server.off('connect', this.#passOn)
    this.#known.clear()
  }

  #watch = (): void => {
    subscribe(LISTEN_CHANNEL, this.#onListen)
  }

  #unwatch = (): void => {
    unsubscribe(LISTEN_CHANNEL, this.#onListen)
  }

  #onListen = (message: unknown): void => {
    const { server } = message as { server: Server }
    if (!isHttp2(server) || server === this.#main || !this.#belongs(server)) return
    this.#known.add(server)
    if (this.isOffered) offerExtendedConnect(server)
    server.on('connect', this.#passOn)
  }

  /** A new server of Fastify has one listener, which is the first of the main server. */
  #belongs (server: Server): boolean {
    const [handler, ...others] = server.listeners('request')
    return others.length === 0 && handler === this.#main.listeners('request')[0]
  }

  #passOn = (...args: unknown[]): void => {
    this.#main.emit('connect', ...args)
  }
}
