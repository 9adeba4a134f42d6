import type { UpgradeSession } from '../handshake/upgrade-transport'

/**
 * The sessions of HTTP/2 that carry upgrades. A server closes only when its sessions have ended,
 * and a client may keep an idle one for ever.
 */
export class Sessions {
  /** The open sessions, each with its connection. */
  readonly #open = new Map<UpgradeSession, { destroy (): unknown }>()

  add (session: UpgradeSession): void {
    if (this.#open.has(session) || session.destroyed) return
    // A session that has ended waits until the client ends its side of the connection. Then only
    // the connection can be cut off.
    const connection = session.socket.once('close', () => { this.#open.delete(session) })
    this.#open.set(session, connection)
  }

  /** Tells the clients that no new stream can begin. Each session ends with its last stream. */
  close (): void {
    for (const session of this.#open.keys()) session.close()
  }

  /** Cuts off the connections of all sessions that are left. */
  destroy (): void {
    for (const connection of this.#open.values()) connection.destroy()
  }
}
