/**
 * A Duplex that belongs to a connection. Its listeners run in the context of the connection's
 * owner. The owner gets the errors that listeners and callbacks throw, and those of the stream.
 */
import { EventEmitter } from 'node:events'
import { Duplex } from 'node:stream'
import { isAbort } from '../observe/thrown'
import { guardCallback } from './callback'
import { isDisconnect, isProtocolError } from './errors'
import { callFor, type ConnectionOwner } from './owner'
import type { StreamSettings } from './settings'
import { kOwner, kSettings } from './symbols'

/** Called after a write or the end, with the error if it failed. */
export type Callback = (error?: Error | null) => void

/** The parts of a WebSocket that its Duplex needs here. */
interface OwnedSocket {
  readonly [kOwner]: ConnectionOwner | null
  readonly [kSettings]: StreamSettings
  readonly closeCode: number | undefined
  readonly closeReason: string | undefined
}

/**
 * See the header of this file. Without an owner it is a Duplex like any other.
 *
 * The signatures with `never` accept no value. Without them, the compiler would not take a stream
 * of values for a `NodeJS.WritableStream`, which `pipe` and `pipeline` demand.
 */
export abstract class OwnedDuplex<Outgoing = unknown> extends Duplex {
  abstract readonly socket: OwnedSocket

  /**
   * Close code of the connection, once it is closed: 1005 if the peer gave none, 1006
   * if it was lost.
   */
  get closeCode (): number | undefined {
    return this.socket.closeCode
  }

  /** Close reason that the peer gave, once the connection is closed. */
  get closeReason (): string | undefined {
    return this.socket.closeReason
  }

  /**
   * The JSON text of a value, as `write` sends it if the route has a schema for messages. With it,
   * a value for many connections is serialized once, and sent by `socket.send`.
   *
   * @throws FST_WS_INVALID_VALUE
   */
  serialize (value: Outgoing): string {
    return this.socket[kSettings].codec.serialize(value)
  }

  override write (chunk: Outgoing, callback?: Callback): boolean
  override write (chunk: Outgoing, encoding: BufferEncoding, callback?: Callback): boolean
  override write (chunk: never, callback?: Callback): boolean
  override write (chunk: never, encoding: BufferEncoding, callback?: Callback): boolean
  override write (
    chunk: unknown, encodingOrCallback?: BufferEncoding | Callback, callback?: Callback
  ): boolean {
    if (typeof encodingOrCallback === 'function') {
      return super.write(chunk, this.#guard(encodingOrCallback))
    }
    // Duplex takes an encoding that is not given; its types do not.
    return super.write(chunk, encodingOrCallback as BufferEncoding, this.#guard(callback))
  }

  override end (callback?: Callback): this
  override end (chunk: Outgoing, callback?: Callback): this
  override end (chunk: Outgoing, encoding?: BufferEncoding, callback?: Callback): this
  override end (chunk: never, callback?: Callback): this
  override end (chunk: never, encoding?: BufferEncoding, callback?: Callback): this
  override end (...args: unknown[]): this {
    const [chunk, encoding, callback] = args.map((argument) => {
      return typeof argument === 'function' ? this.#guard(argument as Callback) : argument
    })
    // Duplex itself tells these arguments apart. Its TypeScript types want each in its own place.
    return super.end(chunk, encoding as BufferEncoding, callback as Callback)
  }

  /** If the connection has an owner, the owner gets the errors of the callback. */
  #guard<C extends Callback | undefined> (callback: C): C | Callback {
    if (typeof callback !== 'function') return callback
    const owner = this.socket[kOwner]
    return owner === null ? callback : guardCallback(callback, owner)
  }

  override emit (event: string | symbol, ...args: unknown[]): boolean {
    if (event === 'data' && args.length === 1) return this.#emitData(args[0])
    // The cast is safe: a stream emits `error` only with an error.
    if (event === 'error') return this.#emitError(args[0] as Error)
    return this.#emitForOwner(event, args)
  }

  /** Messages are emitted in the context of the owner already. Only errors are caught here. */
  #emitData (chunk: unknown): boolean {
    const owner = this.socket[kOwner]
    if (owner === null) return super.emit('data', chunk)
    try {
      return super.emit('data', chunk)
    } catch (error) {
      owner.report(error)
      return true
    }
  }

  #emitForOwner (event: string | symbol, args: unknown[]): boolean {
    return callFor(this.socket[kOwner], super.emit, this, event, ...args) ?? true
  }

  #emitError (error: Error): boolean {
    const owner = this.socket[kOwner]
    if (!isAbort(error)) owner?.report(error)
    // Without a listener, Node.js throws an error. An error that a peer causes must not be thrown.
    const isHandled = owner !== null || isDisconnect(error) || isProtocolError(error)
    if (isHandled && this.listenerCount('error') === 0) return false
    return this.#emitForOwner('error', [error])
  }

  override [EventEmitter.captureRejectionSymbol] (error: Error, ..._emission: unknown[]): void {
    const owner = this.socket[kOwner]
    if (owner === null) this.destroy(error)
    else owner.report(error)
  }
}
