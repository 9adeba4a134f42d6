import { once } from 'node:events'
import type { IncomingHttpHeaders } from 'node:http'
import type { Socket } from 'node:net'
import { WebSocket, type ClientOptions } from 'ws'
import type { Teardown } from './servers'
import { connectorOf } from './transports'

/** A message as a client got it. */
export interface Received {
  readonly data: Buffer
  readonly isBinary: boolean
  readonly text: string
}

/** How a connection ended, as a client saw it. */
export interface Closed {
  readonly code: number
  readonly reason: string
}

/**
 * A ws client that misses nothing: it listens from the first moment, so `next` gives the next
 * message whether it has come already or not.
 */
export class Client {
  readonly socket: WebSocket
  readonly closed: Promise<Closed>
  /** Those of the 101. */
  headers: IncomingHttpHeaders = {}
  /** Null until the 101. */
  transport: Socket | null = null
  readonly #received: Received[] = []
  readonly #waiting: Array<(message: Received) => void> = []

  /** @param target where to connect, or a client that is connecting */
  constructor (target: string | WebSocket, options?: ClientOptions, protocols?: string[]) {
    this.socket = typeof target === 'string'
      ? new WebSocket(target, protocols, { ...connectorOf(target), ...options })
      : target
    this.socket.on('message', (data: Buffer, isBinary) => { this.#take(data, isBinary) })
    this.socket.on('error', () => {})
    this.socket.once('upgrade', ({ headers, socket }) => {
      this.headers = headers
      this.transport = socket
    })
    // Not `once` of node:events, which rejects on an `error` that comes before.
    this.closed = new Promise((resolve) => {
      this.socket.on('close', (code, reason) => { resolve({ code, reason: String(reason) }) })
    })
  }

  /** The messages that came and were not asked for yet. */
  get unread (): readonly Received[] {
    return this.#received
  }

  /** The next message, in order. */
  next (): Promise<Received> {
    const message = this.#received.shift()
    if (message !== undefined) return Promise.resolve(message)
    return new Promise((resolve) => { this.#waiting.push(resolve) })
  }

  /** The text of the next message. */
  async nextText (): Promise<string> {
    return (await this.next()).text
  }

  send (data: string | Buffer): void {
    this.socket.send(data)
  }

  close (code?: number, reason?: string): void {
    this.socket.close(code, reason)
  }

  #take (data: Buffer, isBinary: boolean): void {
    const message = { data, isBinary, text: data.toString() }
    const waiting = this.#waiting.shift()
    if (waiting === undefined) this.#received.push(message)
    else waiting(message)
  }
}

/** A connected client, cut off with the test. Rejects if the upgrade is refused. */
export async function connect (
  t: Teardown, url: string, options?: ClientOptions, protocols?: string[]
): Promise<Client> {
  const client = new Client(url, options, protocols)
  t.teardown(() => { client.socket.terminate() })
  const refused = once(client.socket, 'error').then(([error]) => { throw error })
  await Promise.race([once(client.socket, 'open'), refused])
  return client
}

/** Asks the server for a pong; resolves when it has dealt with all that was sent before. */
export async function ping ({ socket }: Client): Promise<void> {
  socket.ping()
  await once(socket, 'pong')
}

/** The refusal of an upgrade. */
export interface Refusal {
  readonly statusCode: number | undefined
  readonly headers: NodeJS.Dict<string | string[]>
  readonly body: string
}

/** The refusal of an upgrade, as it came. */
export interface HttpRefusal extends Refusal {
  /** The body, which can be compressed. */
  readonly bytes: Buffer
}

/** Asks for an upgrade that must be refused, and returns the HTTP answer. */
export async function refused (
  t: Teardown, url: string, options?: ClientOptions, protocols?: string[]
): Promise<HttpRefusal> {
  const socket = new WebSocket(url, protocols, { ...connectorOf(url), ...options })
  t.teardown(() => { socket.terminate() })
  socket.on('error', () => {})
  const accepted = once(socket, 'open').then(() => { throw new Error(`${url} was upgraded`) })
  const answered = once(socket, 'unexpected-response')
  const [, response] = await Promise.race([answered, accepted])
  const bytes = Buffer.concat(await response.toArray())
  return {
    statusCode: response.statusCode,
    headers: response.headers,
    body: bytes.toString(),
    bytes
  }
}
