// Random clients: a plan is drawn from a table, and played over a socket of TCP or TLS, over
// HTTP/2, by a client of ws, or in memory.
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { WebSocket } from 'ws'
import { upgradeHead } from '../helpers/raw'
import { SECRET_PATH, WITH_HOOKS, type Application } from './applications'
import { HANDLERS, wait } from './handlers'
import { OTHER_PATH } from './others'
import { Http2Visitor } from './http2-visitor'
import { drawPlan, type PlanOf, type Random } from './random'
import { FRAMES, INSTEAD, plainRequests } from './talk'
import { hasHttp1, isSecure } from './versions'

type Named<Table> = readonly [keyof Table & string, ...Array<keyof Table & string>]

/** The names in a table of which there is at least one. */
function namesOf<Table extends object> (table: Table): Named<Table> {
  // `Object.keys` has no type for the names.
  return Object.keys(table) as unknown as Named<Table>
}

const CHOICES = {
  via: [0.4, 'ws', 'memory', 'http2'],
  before: [
    0.35, '/sync', '/slow', '/hang', '/big', '/slow /big', '/sync /slow', '/upload'
  ],
  instead: [0.2, ...namesOf(INSTEAD)],
  path: [
    0.9, SECRET_PATH, SECRET_PATH, SECRET_PATH, SECRET_PATH, '/nowhere', '/nowhere', '/sync',
    OTHER_PATH, OTHER_PATH, '/echo/', '//echo', '/echo?a=%ff', '/%', '*', '/%65cho', '/echo;a=b',
    'http://localhost/echo', ...namesOf(HANDLERS)
  ],
  meetsHooks: [0.4, true],
  line: [
    0.15, 'Origin: http://other', 'Sec-WebSocket-Version: 7', 'Sec-WebSocket-Key: short',
    'Sec-WebSocket-Protocol: a, b', 'Content-Length: 5', 'Transfer-Encoding: chunked',
    'Host: other', 'Expect: 100-continue', 'Sec-WebSocket-Extensions: permessage-deflate',
    'Sec-WebSocket-Extensions: x; y="'
  ],
  says: [0.6, ...namesOf(FRAMES)],
  thenSays: [0.3, ...namesOf(FRAMES)],
  pace: [0.4, 'all at once', 'byte by byte'],
  isDeaf: [0.25, true],
  isHalfOpen: [0.2, true],
  leaves: [0.6, 'by a FIN', 'by a reset', 'by both'],
  after: [0.7, 5, 20, 60, 150],
  // Only the requests of `before` are sent at once, and the upgrade so many milliseconds after the
  // application's `close()` has begun: in its first turns, among its hooks, or behind them.
  late: [0.2, 0, 2, 20]
} as const

/** A plan of a client; where it says nothing, an upgrade of `/echo` until the server ends it. */
export type ClientPlan = PlanOf<typeof CHOICES>

/** Draws the plan of a client. */
export function drawClient (random: Random): ClientPlan {
  return drawPlan(random, CHOICES)
}

/** A client under way. */
export interface Visitor {
  /** Resolves when its socket is closed. */
  readonly left: Promise<void>
  /** Whether its upgrade was accepted on the route that refuses everyone. */
  readonly wasLetIn: boolean
  /** The application closes: a client that it need not get rid of leaves. */
  goHome (): void
  /** The siege is over. */
  cutOff (): void
}

/** Lets a client play its plan. */
export function enter (plan: ClientPlan, application: Application): Visitor {
  const isOverHttp2 = plan.via === 'http2' ||
    (plan.via !== 'memory' && !hasHttp1(application.plan))
  if (isOverHttp2) return new Http2Visitor(plan, pathOf(plan), application)
  return plan.via === undefined
    ? new RawVisitor(plan, application)
    : new WebSocketVisitor(plan, application)
}

/** A path that hooks of the application look at, if the client wants to meet them. */
function targetOf ({ path = '/echo', meetsHooks }: ClientPlan): string {
  return meetsHooks ? `${path}${WITH_HOOKS}` : path
}

/** A client that writes bytes. */
class RawVisitor implements Visitor {
  readonly left: Promise<void>
  wasLetIn = false
  readonly #plan: ClientPlan
  readonly #socket: Socket
  readonly #closing: Promise<void>
  #onClosing = (): void => {}

  constructor (plan: ClientPlan, { port, plan: versions }: Application) {
    this.#plan = plan
    const isEncrypted = isSecure(versions)
    const allowHalfOpen = plan.isHalfOpen ?? false
    const options = { port, host: '127.0.0.1', allowHalfOpen, noDelay: true }
    this.#socket = isEncrypted
      ? connectTls({ ...options, rejectUnauthorized: false })
      : connectTcp(options)
    this.#socket.on('error', () => {})
    this.#closing = new Promise((resolve) => { this.#onClosing = resolve })
    this.left = new Promise((resolve) => { this.#socket.once('close', () => { resolve() }) })
    if (!plan.isDeaf) this.#listen()
    this.#socket.once(isEncrypted ? 'secureConnect' : 'connect', () => { this.#play() })
  }

  #listen (): void {
    const isRefused = this.#plan.path === SECRET_PATH
    this.#socket.on('data', (chunk: Buffer) => {
      if (isRefused && chunk.includes('HTTP/1.1 101 ')) this.wasLetIn = true
    })
    // A half-open client ends its side, too, or no server could close. Until then, for longer than
    // most of what a server does after a FIN, it is there.
    this.#socket.on('end', () => { setTimeout(() => { this.#socket.end() }, 100) })
  }

  async #play (): Promise<void> {
    const { before, says, thenSays, pace, after = 0, late } = this.#plan
    const earlier = Buffer.from(before === undefined ? '' : plainRequests(before), 'latin1')
    const opening = Buffer.from(this.#opening(), 'latin1')
    const first = says === undefined ? Buffer.alloc(0) : FRAMES[says]
    if (late !== undefined) {
      this.#socket.write(earlier)
      await this.#closing
      await wait(late)
    }
    const rest = late === undefined ? [earlier, opening] : [opening]
    if (pace === 'all at once') {
      this.#socket.write(Buffer.concat([...rest, first]))
    } else {
      this.#socket.write(Buffer.concat(rest))
      // The server reads the head in a turn of its own, before the first frame is there.
      await wait(1)
      if (pace === 'byte by byte') await this.#writeSlowly(first)
      else this.#socket.write(first)
    }
    await wait(after)
    if (thenSays !== undefined) this.#socket.write(FRAMES[thenSays])
    this.#leave()
  }

  #opening (): string {
    const { instead, line } = this.#plan
    const target = targetOf(this.#plan)
    if (instead !== undefined) return INSTEAD[instead](target)
    const [name, value = ''] = line?.split(': ') ?? []
    return upgradeHead(target, name === undefined ? {} : { [name]: value })
  }

  async #writeSlowly (bytes: Buffer): Promise<void> {
    for (let i = 0; i < bytes.length; i++) {
      // The beginning is what is read byte by byte.
      const end = i < 30 ? i + 1 : bytes.length
      this.#socket.write(bytes.subarray(i, end))
      // One turn of the event loop at least, so that each byte is a packet of its own.
      await wait(0)
      if (end === bytes.length) return
    }
  }

  #leave (): void {
    const { leaves } = this.#plan
    if (leaves === 'by a FIN' || leaves === 'by both') this.#socket.end()
    // The server has seen the FIN, and answers it, when the reset comes.
    if (leaves === 'by both') setTimeout(() => { this.#reset() }, 10)
    if (leaves === 'by a reset') this.#reset()
  }

  #reset (): void {
    // There is none over TLS, where the socket below is Node.js's own, and none behind a FIN, after
    // which Node.js would lose the handle of the socket.
    const canReset = !('encrypted' in this.#socket) && !this.#socket.writableEnded
    if (canReset) this.#socket.resetAndDestroy()
    else this.#socket.destroy()
  }

  goHome (): void {
    this.#onClosing()
    const { instead, path } = this.#plan
    if (instead !== undefined || path === OTHER_PATH) this.#reset()
  }

  cutOff (): void {
    this.#socket.destroy()
  }
}

/** A client of ws, over a port or in memory. */
class WebSocketVisitor implements Visitor {
  readonly left: Promise<void>
  wasLetIn = false
  readonly #plan: ClientPlan
  #socket: WebSocket | null = null
  #isCutOff = false

  constructor (plan: ClientPlan, application: Application) {
    this.#plan = plan
    this.left = plan.via === 'ws' ? this.#connect(application) : this.#inject(application)
  }

  #connect ({ port, plan }: Application): Promise<void> {
    const url = `${isSecure(plan) ? 'wss' : 'ws'}://127.0.0.1:${port}${pathOf(this.#plan)}`
    return this.#play(new WebSocket(url, { rejectUnauthorized: false }))
  }

  async #inject ({ fastify }: Application): Promise<void> {
    let left = Promise.resolve()
    const onInit = (socket: WebSocket): void => { left = this.#play(socket) }
    // A refusal is an error here, and rejects.
    await fastify.injectWS(pathOf(this.#plan), {}, { onInit }).catch(() => {})
    await left
  }

  #play (socket: WebSocket): Promise<void> {
    const { isDeaf, path, says, thenSays, after = 0 } = this.#plan
    this.#socket = socket
    socket.on('error', () => {})
    socket.on('message', () => {})
    socket.once('open', async () => {
      if (path === SECRET_PATH) this.wasLetIn = true
      if (isDeaf) socket.pause()
      if (says !== undefined) socket.send(FRAMES[says], () => {})
      await wait(after)
      if (thenSays !== undefined) socket.send(FRAMES[thenSays], () => {})
      this.#leave(socket)
    })
    if (this.#isCutOff) socket.terminate()
    return new Promise((resolve) => { socket.once('close', () => { resolve() }) })
  }

  #leave (socket: WebSocket): void {
    const { leaves } = this.#plan
    if (leaves === 'by a FIN' || leaves === 'by both') socket.close()
    if (leaves === 'by both' || leaves === 'by a reset') socket.terminate()
  }

  goHome (): void {
    if (this.#plan.path === OTHER_PATH) this.cutOff()
  }

  cutOff (): void {
    this.#isCutOff = true
    this.#socket?.terminate()
  }
}

/** A path that ws's client takes for its URL. */
function pathOf (plan: ClientPlan): string {
  const target = targetOf(plan)
  return target.startsWith('/') && !target.startsWith('//') ? target : '/echo'
}
