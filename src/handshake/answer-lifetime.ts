/**
 * The lifetime of the answer to an upgrade: its state, the socket on which it is given, and the
 * callbacks that wait until it is settled. `UpgradeAnswer` extends it by the answer itself.
 */
import { isRefused, isSettled, type AnswerState } from './answer-state'
import { cutOffWithoutProgress } from './progress'
import type { UpgradeTransport } from './upgrade-transport'

/** See the header of this file. */
export class AnswerLifetime {
  protected readonly transport: UpgradeTransport
  protected state: AnswerState = 'queued'
  #onSettled: Array<() => void> = []

  constructor (transport: UpgradeTransport) {
    this.transport = transport
  }

  /** Calls back when the response to the earlier request is out. */
  queue (onVacant: () => void): void {
    const stop = this.cutOffWithoutProgress(() => true)
    this.transport.onceVacant(() => {
      stop()
      if (this.state === 'queued') onVacant()
    })
  }

  /** Cuts off a client that reads nothing while `isWaiting`. The returned function ends this. */
  protected cutOffWithoutProgress (isWaiting: () => boolean): () => void {
    const stop = cutOffWithoutProgress(this.transport.socket, isWaiting)
    this.#onSettled.push(stop)
    return stop
  }

  /** Whether the answer is out, or cannot be given any more. */
  get isSettled (): boolean {
    return isSettled(this.state)
  }

  /** Whether the route may still accept: no answer has begun, and the client has not left. */
  get isChecking (): boolean {
    return this.state === 'checking'
  }

  /** Whether an answer other than the handshake has begun. */
  get isRefused (): boolean {
    return isRefused(this.state)
  }

  /** @throws FST_WS_INVALID_HANDSHAKE, FST_WS_UNSUPPORTED_VERSION */
  checkHandshake (): void {
    this.transport.checkHandshake()
  }

  /** Calls back when the upgrade is accepted, or its socket is closed or has another owner. */
  onceSettled (callback: () => void): void {
    this.#onSettled.push(callback)
  }

  /** The state is `switched` or `gone` now. */
  protected settle (): void {
    const callbacks = this.#onSettled
    this.#onSettled = []
    for (const callback of callbacks) callback()
  }

  /** The client has left. */
  protected leave (): void {
    if (this.state !== 'switched') this.state = 'gone'
    this.transport.endRequest()
    this.settle()
  }

  /** The socket has another owner. */
  protected giveAway (): void {
    this.transport.unwatch()
    this.state = 'gone'
    this.settle()
  }

  /** Ends the socket. Nothing more may be written to it. */
  endSoon (): void {
    this.transport.endSoon()
    this.state = 'gone'
    this.settle()
  }

  /** Cuts the client off. */
  abort (): void {
    this.transport.abort()
  }
}
