/** The connections of one registration, counted and kept alive or closed as a whole. */
import { ClosingError, TooManyConnectionsError } from '../errors'
import type { UpgradeAnswer } from '../handshake/upgrade-answer'
import type { StreamSocket } from '../stream/socket'
import { kOwner } from '../stream/symbols'
import { HandlerScope } from './handler-scope'
import { Heartbeat } from './heartbeat'
import { closeClients } from './shutdown'

/** The open connections of one registration: how many there may be, their heartbeats, their end. */
export class OpenConnections {
  readonly #sockets: ReadonlySet<StreamSocket>
  readonly #maxConnections: number
  /** The heartbeats, by their intervals. */
  readonly #heartbeats = new Map<number, Heartbeat>()
  #isClosing = false
  #closed: Promise<void> | null = null

  /**
   * @param sockets the open sockets of the server
   * @param maxConnections Infinity for no limit
   */
  constructor (sockets: ReadonlySet<StreamSocket>, maxConnections: number) {
    this.#sockets = sockets
    this.#maxConnections = maxConnections
  }

  get isClosing (): boolean {
    return this.#isClosing
  }

  /** @throws FST_WS_CLOSING, FST_WS_TOO_MANY_CONNECTIONS */
  checkRoom (): void {
    if (this.#isClosing) throw new ClosingError()
    if (this.#sockets.size >= this.#maxConnections) throw new TooManyConnectionsError()
  }

  /** The one heartbeat of all connections that have this interval, in milliseconds. */
  heartbeatOf (interval: number): Heartbeat {
    const known = this.#heartbeats.get(interval)
    if (known !== undefined) return known
    const heartbeat = new Heartbeat(interval, (heartbeat) => this.#scopesOf(heartbeat))
    this.#heartbeats.set(interval, heartbeat)
    return heartbeat
  }

  * #scopesOf (heartbeat: Heartbeat): Iterable<HandlerScope> {
    for (const { [kOwner]: owner } of this.#sockets) {
      if (owner instanceof HandlerScope && owner.heartbeat === heartbeat) yield owner
    }
  }

  /** No more connections are let in. */
  refuse (): void {
    this.#isClosing = true
  }

  /**
   * Closes all connections with 1001, the first time that it is called. The promise is the same for
   * all calls, and resolves when the connections and the undecided upgrades are gone.
   *
   * @param timeout milliseconds until what is left is cut off
   */
  close (upgrades: Iterable<UpgradeAnswer>, timeout: number): Promise<void> {
    this.#closed ??= closeClients(this.#sockets, upgrades, timeout)
    return this.#closed
  }
}
