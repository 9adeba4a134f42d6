/**
 * The two ways by which an upgrade can come, behind one interface for the rest of the plugin:
 *
 * | way    | the request is             | ws gets                  | file              |
 * |--------|----------------------------|--------------------------|-------------------|
 * | HTTP/1 | a GET with `Upgrade`       | the socket               | `raw-socket.ts`   |
 * | HTTP/2 | a CONNECT with `:protocol` | a Duplex over the stream | `http2-stream.ts` |
 *
 * Only these files know which one it is, and in `upgrade/` the listener that creates their classes
 * and the service of requests for other protocols, which only HTTP/1 has.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { AskedProtocol } from './request-checks'
import type { ResponseOwner } from './response'

/** The events of a transport while it is watched. */
export interface TransportWatcher {
  /** The operating system has taken all that was written. */
  onDrain (): void
  /** The transport is closed. */
  onClose (): void
  /** Another listener reads the transport as well: an observer, or the next owner. */
  onReader (): void
}

/** A session of HTTP/2, which carries many upgrades. */
export interface UpgradeSession {
  /** Lets no new stream begin, and ends when the last one has ended. */
  close (): void
  readonly destroyed: boolean
  /** The connection of the session. Node.js forbids some of its methods. */
  readonly socket: {
    /** Returns the socket itself, of which nothing is forbidden. */
    once (event: 'close', listener: () => void): { destroy (): unknown }
  }
}

/** The way of one upgrade: see the header of this file. */
export interface UpgradeTransport {
  readonly request: IncomingMessage
  /** The Duplex that the bytes of the upgrade come by, and that ws gets in the end. */
  readonly socket: Duplex
  /** The session that carries the upgrade, or undefined over HTTP/1. */
  readonly session: UpgradeSession | undefined

  // --- Shared with other listeners of the server ---

  /** Notes the state of the transport, before another listener sees the upgrade. */
  beginSharing (): void
  /** Whether another listener has begun to read or to answer, or has closed the transport. */
  readonly isTaken: boolean
  /** What the request asks for. */
  readonly asksFor: AskedProtocol

  // --- The request ---

  /** Prepares the request for the router. Returns an error if the request must not reach it. */
  admit (maxHeadersCount: number | null): Error | null
  /** @throws FST_WS_INVALID_HANDSHAKE, FST_WS_UNSUPPORTED_VERSION */
  checkHandshake (): void

  // --- The response ---

  /** The response that Fastify and the application write to. `owner` decides about the writes. */
  createResponse (owner: ResponseOwner): ServerResponse
  /** Gives the transport to a response. False while an earlier response has it. */
  occupy (response: ServerResponse): boolean
  /** Calls back when the earlier response is done, unless the transport closes. */
  onceVacant (callback: () => void): void
  /** Whether the client would take a status for the acceptance of its upgrade. */
  isAcceptance (statusCode: number): boolean
  /** Writes the head of a refusal. Returns whether the client may get it. */
  writeHead (response: ServerResponse, statusCode: number): boolean
  /** Writes the end of a refusal. `args` are those of `response.end`. */
  end (response: ServerResponse, args: unknown[]): void

  // --- Until the decision ---

  /** Begins to tell when the client leaves. */
  watch (watcher: TransportWatcher): void
  /** Ends `watch`. */
  unwatch (): void

  // --- Ends ---

  /**
   * Calls `perform`, which does the handshake of ws, with the Duplex for ws and the bytes that have
   * arrived behind the request. If `perform` returns null, there is no connection.
   */
  shakeHands<Result> (perform: (socket: Duplex, head: Buffer) => Result): Result
  /** The handshake is done: ws has the transport, and the response is finished. */
  handOver (response: ServerResponse): void
  /** The refusal is out: the response is finished. */
  finishRefusal (response: ServerResponse): void
  /** Ends the transport. The client has some time to read what was written. */
  endSoon (): void
  /** The client has left: the request is over. */
  endRequest (): void
  /** Cuts the client off. */
  abort (): void
}
