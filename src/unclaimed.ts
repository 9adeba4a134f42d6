import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { guard, unguard } from './transport'

/** An `upgrade` event. */
export interface Upgrade {
  readonly request: IncomingMessage
  readonly transport: Duplex
  readonly head: Buffer
  /** What was written to the socket before, as answers to earlier requests. */
  readonly bytesWritten: number
}

/** Whether the socket of an upgrade is as it came: nobody has begun to read it or to answer. */
export function isFree ({ request, transport, bytesWritten }: Upgrade): boolean {
  return transport.readableFlowing === null && transport.writable &&
    request.socket.bytesWritten === bytesWritten
}

/** Upgrades that are not ours and that others have some time to answer. */
export class UnclaimedUpgrades {
  readonly #timeout: number
  readonly #giveUp: (upgrade: Upgrade) => void
  /** How to forget each. */
  readonly #waiting = new Map<Upgrade, () => void>()
  #isClosing = false

  /** @param timeout milliseconds until `giveUp` gets an upgrade, answered or not */
  constructor (timeout: number, giveUp: (upgrade: Upgrade) => void) {
    this.#timeout = timeout
    this.#giveUp = giveUp
  }

  add (upgrade: Upgrade): void {
    const { transport } = upgrade
    guard(transport)
    const timer = setTimeout(() => {
      forget()
      this.#giveUp(upgrade)
    }, this.#isClosing ? 0 : this.#timeout).unref()
    const forget = (): void => {
      clearTimeout(timer)
      unguard(transport)
      transport.off('close', forget)
      this.#waiting.delete(upgrade)
    }
    transport.on('close', forget)
    this.#waiting.set(upgrade, forget)
  }

  /** Others have no more time. */
  close (): void {
    this.#isClosing = true
    for (const [upgrade, forget] of this.#waiting) {
      forget()
      this.#giveUp(upgrade)
    }
  }
}
