import type { UpgradeSession } from '../handshake/upgrade-transport'

/**
 * The sessions of HTTP/2 that carry upgrades. A server closes only when its sessions have ended,
 * and a client may keep an idle one for ever.
 */
export class Sessions {
  readonly #open = new Set<UpgradeSession>()

  add (session: UpgradeSession): void {
    if (this.#open.has(session)) return
    this.#open.add(session)
    session.once('close', () => { this.#open.delete(session) })
  }

  /** Tells the clients that no new stream can begin. Each session ends with its last stream. */
  close (): void {
    for (const session of this.#open) session.close()
  }

  /** Cuts off what is left. */
  destroy (): void {
    for (const session of this.#open) session.destroy()
  }
}
