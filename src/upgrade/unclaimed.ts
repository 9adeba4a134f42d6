import type { UpgradeTransport } from '../handshake/upgrade-transport'

/** Upgrades that no route of ours claims. Other listeners have some time to answer them. */
export class UnclaimedUpgrades {
  readonly #timeout: number
  readonly #giveUp: (transport: UpgradeTransport) => void
  /** For each upgrade, the function that ends its wait. */
  readonly #waiting = new Map<UpgradeTransport, () => void>()
  #isClosing = false

  /** @param timeout milliseconds until `giveUp` gets an upgrade, answered or not */
  constructor (timeout: number, giveUp: (transport: UpgradeTransport) => void) {
    this.#timeout = timeout
    this.#giveUp = giveUp
  }

  add (transport: UpgradeTransport): void {
    const { socket } = transport
    const timer = setTimeout(() => {
      forget()
      this.#giveUp(transport)
    }, this.#isClosing ? 0 : this.#timeout).unref()
    const forget = (): void => {
      clearTimeout(timer)
      socket.off('close', forget)
      this.#waiting.delete(transport)
    }
    socket.on('close', forget)
    this.#waiting.set(transport, forget)
  }

  /** Ends the time of the other listeners, now and for upgrades that come later. */
  close (): void {
    this.#isClosing = true
    for (const [transport, forget] of this.#waiting) {
      forget()
      this.#giveUp(transport)
    }
  }
}
