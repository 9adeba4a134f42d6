import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'

/** Where the other protocol is spoken. */
export const OTHER_PATH = '/other'

/** What a second `upgrade` listener does with the upgrades of its path; it ignores all others. */
export type OtherListener = 'ignores' | 'answers' | 'answers late'

const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n'

/** Another library on the same server, which does everything right. */
export class OtherProtocol {
  readonly #sockets = new Set<Duplex>()
  #isClosed = false

  /** Listens to the upgrades of a server. */
  listen (server: Server, kind: OtherListener): void {
    server.on('upgrade', (request: IncomingMessage, transport: Duplex) => {
      // When the application has closed, this is the last listener of a server that goes on.
      // Node.js leaves the socket without an `error` listener, so an ignored socket needs one.
      if (server.listenerCount('upgrade') === 1) this.#own(transport)
      if (kind === 'ignores' || request.url !== OTHER_PATH) return
      this.#own(transport)
      if (kind === 'answers') this.#answer(transport)
      // Long after our plugin has decided, which is on the next tick.
      else setTimeout(() => { this.#answer(transport) }, 20)
    })
  }

  #own (transport: Duplex): void {
    this.#sockets.add(transport)
    transport.on('error', () => {})
    transport.once('close', () => { this.#sockets.delete(transport) })
    if (this.#isClosed) transport.destroy()
  }

  #answer (transport: Duplex): void {
    if (!transport.writable) return
    transport.write(SWITCH)
    transport.on('data', (chunk) => { transport.write(chunk) })
    transport.on('end', () => { transport.end() })
  }

  /** Cuts its clients off, and those that come later. */
  close (): void {
    this.#isClosed = true
    for (const transport of this.#sockets) transport.destroy()
  }
}
