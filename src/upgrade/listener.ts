/**
 * The `upgrade` events of one server. They go to a Fastify application, to another listener of the
 * server, or back to the server as plain HTTP.
 *
 * Alone on the server, an application answers at once. Beside other listeners it decides on the
 * next tick: what another listener has begun to read or write is left alone, what a route claims
 * is answered, and the rest waits for another listener, for a time.
 */

import type { FastifyInstance } from 'fastify'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { ApplicationUpgrades, type UpgradeSource } from './application-upgrades'
import { Http2UnsupportedError } from '../errors'
import { canUpgrade } from './http-server'
import { asksForHttp, asksForWebSocket } from '../handshake/request-checks'
import { UpgradeTransport } from '../handshake/transport'
import { UnclaimedUpgrades } from './unclaimed'

/** Milliseconds that other listeners of the server have to answer what is not ours. */
const UNCLAIMED_TIMEOUT = 10_000

/** The one listener of a server, for all applications that take its upgrades. */
export class UpgradeListener {
  readonly #source: UpgradeSource
  readonly #unclaimed: UnclaimedUpgrades
  /** By `routing`, which all instances of an application share. */
  readonly #known = new WeakMap<object, ApplicationUpgrades>()
  /** Those that take upgrades now, once for each of their registrations. */
  #attached: ApplicationUpgrades[] = []

  /** @param unclaimedTimeout milliseconds until an upgrade that nobody answers gets a 404 */
  constructor (source: UpgradeSource, unclaimedTimeout = UNCLAIMED_TIMEOUT) {
    this.#source = source
    this.#unclaimed = new UnclaimedUpgrades(unclaimedTimeout, this.#giveUp)
  }

  /** The upgrades of the application that `fastify` is any instance of. */
  upgradesOf (fastify: FastifyInstance): ApplicationUpgrades {
    const { routing } = fastify
    const upgrades = this.#known.get(routing) ?? new ApplicationUpgrades(this.#source, fastify)
    this.#known.set(routing, upgrades)
    return upgrades
  }

  /** Begins to take upgrades, for one registration of the plugin. */
  attach (upgrades: ApplicationUpgrades): void {
    // First of all, so that what the other listeners do to a socket is seen to be theirs.
    if (this.#attached.length === 0) this.#source.prependListener('upgrade', this.#onUpgrade)
    this.#attached.push(upgrades)
  }

  /** The registration has closed. */
  detach (upgrades: ApplicationUpgrades): void {
    this.#attached.splice(this.#attached.indexOf(upgrades), 1)
    if (this.#attached.length === 0) this.#source.off('upgrade', this.#onUpgrade)
  }

  /**
   * An application is closing: on its own server, other listeners have no more time.
   *
   * @param timeout milliseconds that upgrades without an answer have
   */
  close (upgrades: ApplicationUpgrades, timeout: number): void {
    upgrades.close(timeout)
    if (upgrades.ownsSource) this.#unclaimed.close()
  }

  #onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const transport = new UpgradeTransport(request, socket, head)
    if (this.#source.listenerCount('upgrade') === 1) {
      this.#answer(transport)
      return
    }
    transport.beginSharing()
    process.nextTick(this.#share, transport)
  }

  /** No other listener is there: every upgrade is answered. */
  #answer (transport: UpgradeTransport): void {
    const [first] = this.#attached
    const isAlone = this.#attached.at(-1) === first
    try {
      const chosen = isAlone ? first : this.#findClaimant(transport.request)
      const upgrades = chosen ?? this.#anyone
      upgrades?.answer(transport)
    } catch (error) {
      this.#fail(transport, error)
    }
  }

  #share = (transport: UpgradeTransport): void => {
    if (transport.isTaken) return
    try {
      const claimant = this.#findClaimant(transport.request)
      if (claimant === undefined) this.#unclaimed.add(transport)
      else claimant.answer(transport)
    } catch (error) {
      this.#fail(transport, error)
    }
  }

  /** The application whose route takes the upgrade, rather one that is not closing. */
  #findClaimant (request: IncomingMessage): ApplicationUpgrades | undefined {
    // What is only HTTP in another form has no other owner, and any application can serve it.
    if (!asksForWebSocket(request)) return asksForHttp(request) ? this.#anyone : undefined
    const claimants = this.#attached.filter((upgrades) => upgrades.claims(request))
    return claimants.find(({ isClosing }) => !isClosing) ?? claimants[0]
  }

  /** An application that answers what none claims, rather one that is not closing. */
  get #anyone (): ApplicationUpgrades | undefined {
    return this.#attached.find(({ isClosing }) => !isClosing) ?? this.#attached[0]
  }

  /** The application's `shouldHandle` has thrown. */
  #fail (transport: UpgradeTransport, error: unknown): void {
    this.#anyone?.refuse(transport, error)
  }

  /** Answers what no other listener has answered in time. */
  #giveUp = (transport: UpgradeTransport): void => {
    if (transport.isTaken) return
    const upgrades = this.#anyone
    if (upgrades === undefined) transport.socket.destroy()
    else upgrades.answer(transport)
  }
}

const listeners = new WeakMap<UpgradeSource, UpgradeListener>()

/**
 * The listener of a server, which is asked for on behalf of `fastify`.
 *
 * @throws FST_WS_HTTP2_UNSUPPORTED
 */
export function upgradeListenerOf (
  source: UpgradeSource, fastify: FastifyInstance
): UpgradeListener {
  if (!canUpgrade(source, fastify)) throw new Http2UnsupportedError()
  const listener = listeners.get(source) ?? new UpgradeListener(source)
  listeners.set(source, listener)
  return listener
}
