// Random clients of HTTP/2: a session with some WebSockets, which all play the same plan.
import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import { SECRET_PATH, type Application } from './applications'
import type { ClientPlan, Visitor } from './clients'
import { wait } from './handlers'
import { FRAMES } from './talk'
import { isSecure } from './versions'

const OK = 200

/** Streams of a session. */
const STREAMS = 3

/** A client of HTTP/2, which leaves with its last stream. */
export class Http2Visitor implements Visitor {
  readonly left: Promise<void>
  wasLetIn = false
  readonly #plan: ClientPlan
  readonly #session: ClientHttp2Session
  #socket: Socket | null = null
  #open = STREAMS

  /** @param path the path of each request */
  constructor (plan: ClientPlan, path: string, { port, plan: versions }: Application) {
    this.#plan = plan
    const scheme = isSecure(versions) ? 'https' : 'http'
    const url = `${scheme}://127.0.0.1:${port}`
    this.#session = connect(url, { rejectUnauthorized: false }, (_session, socket) => {
      this.#socket = socket
    })
    this.#session.on('error', () => {})
    this.left = new Promise((resolve) => { this.#session.once('close', () => { resolve() }) })
    // Before the server has told its settings, Node.js takes no request with a protocol.
    this.#session.once('remoteSettings', ({ enableConnectProtocol }) => {
      if (enableConnectProtocol !== true) this.cutOff()
      for (let i = 0; i < STREAMS && !this.#session.destroyed; i++) this.#ask(path)
    })
  }

  #ask (path: string): void {
    const stream = this.#session.request({
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':scheme': 'https',
      ':path': path,
      'sec-websocket-version': '13'
    }, { endStream: false })
    stream.on('error', () => {})
    stream.on('response', ({ ':status': status }) => {
      if (status === OK && path.startsWith(SECRET_PATH)) this.wasLetIn = true
    })
    if (!this.#plan.isDeaf) {
      stream.resume()
      stream.on('end', () => { stream.end() })
    }
    stream.on('close', () => { if (--this.#open === 0) this.#session.close() })
    this.#play(stream)
  }

  async #play (stream: ClientHttp2Stream): Promise<void> {
    const { says, thenSays, after = 0, leaves } = this.#plan
    if (says !== undefined) stream.write(FRAMES[says])
    await wait(after)
    if (stream.destroyed) return
    if (thenSays !== undefined) stream.write(FRAMES[thenSays])
    if (leaves === 'by a FIN') stream.end()
    if (leaves === 'by a reset') stream.close(constants.NGHTTP2_CANCEL)
    if (leaves === 'by both') this.#session.destroy()
  }

  goHome (): void {}

  cutOff (): void {
    this.#session.destroy()
    // Where the server has cut the client off before, Node.js 20 sometimes leaves the session
    // waiting for a write to end, and its socket open.
    this.#socket?.destroy()
  }
}
