import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { kAttach, kFlush, kFlushed } from '../symbols'
import { InboundSocket } from './inbound'
import type { StreamSettings } from './settings'

const EMPTY = Buffer.alloc(0)
const NO_OPTIONS = {}

type Data = Parameters<WebSocket['send']>[0]
type SendOptions = Parameters<WebSocket['send']>[1]
type SendCallback = (error?: Error) => void

/** Sockets with frames that wait for the end of this tick. */
let corked: StreamSocket[] = []

/** The WebSocket of a connection: all its frames of one tick leave in one system call. */
export class StreamSocket extends InboundSocket {
  #transport: Duplex | null = null
  #isCorked = false
  /** The close started on this side, so the way the connection ends is no surprise. */
  wasClosedHere = false
  /**
   * Sends that ws carries out later: compressed messages and Blobs. Frames behind
   * them wait in ws.
   */
  #unfinishedSends = 0
  #whenIdle: (() => void) | null = null;

  /** Takes over the transport of the handshake. Called once, before any message can arrive. */
  [kAttach] (transport: Duplex, settings: StreamSettings): void {
    this.#transport = transport
    this.useSettings(settings)
  }

  override send (data: Data, callback?: SendCallback): void
  override send (data: Data, options: SendOptions, callback?: SendCallback): void
  override send (
    data: Data, optionsOrCallback?: SendOptions | SendCallback, lastCallback?: SendCallback
  ): void {
    const isOptions = typeof optionsOrCallback !== 'function'
    const options = isOptions ? optionsOrCallback ?? NO_OPTIONS : NO_OPTIONS
    const callback = isOptions ? lastCallback : optionsOrCallback
    this.#cork()
    if (this.extensions === '' && !(data instanceof Blob)) {
      super.send(data, options, callback)
      return
    }
    this.#unfinishedSends++
    super.send(data, options, (error) => {
      this.#finishSend()
      callback?.(error)
    })
  }

  override ping (...args: Parameters<WebSocket['ping']>): void {
    this.#cork()
    super.ping(...args)
  }

  override pong (...args: Parameters<WebSocket['pong']>): void {
    this.#cork()
    super.pong(...args)
  }

  override close (code?: number, reason?: string | Buffer): void {
    this.#cork()
    super.close(code, reason)
    this.wasClosedHere = true
  }

  /**
   * Closes the connection without a handshake. What was sent before, in this tick too, is handed
   * to the system.
   */
  override terminate (): void {
    this[kFlush]()
    this.wasClosedHere = true
    super.terminate()
  }

  /**
   * Calls back when everything sent so far, the close frame included, has left the
   * process, if it does.
   */
  [kFlushed] (callback: () => void): void {
    if (this.#unfinishedSends > 0) {
      this.#whenIdle = callback
      return
    }
    // An empty chunk is written in order, so its callback comes when all before it is out.
    this.#transport?.write(EMPTY, (error) => { if (error == null) callback() })
  }

  #finishSend (): void {
    this.#unfinishedSends--
    if (this.#unfinishedSends > 0 || this.#whenIdle === null) return
    const callback = this.#whenIdle
    this.#whenIdle = null
    this[kFlushed](callback)
  }

  #cork (): void {
    if (this.#isCorked || this.#transport === null) return
    this.#isCorked = true
    this.#transport.cork()
    if (corked.length === 0) process.nextTick(flushCorked)
    corked.push(this)
  }

  [kFlush] (): void {
    if (!this.#isCorked) return
    this.#isCorked = false
    this.#transport?.uncork()
  }
}

/** Ends the tick for all sockets at once. */
function flushCorked (): void {
  const sockets = corked
  corked = []
  for (const socket of sockets) socket[kFlush]()
}
