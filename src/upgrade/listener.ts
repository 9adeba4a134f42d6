/**
 * The `upgrade` events of one server, and the `connect` events that are upgrades over HTTP/2, for
 * all applications on it.
 *
 * If no other library listens for upgrades of the server, an application answers each upgrade at
 * once. If another one listens, the decision comes on the next tick: an upgrade whose socket the
 * other listener has begun to read or write is left alone, an upgrade that a route claims is
 * answered, and any other waits some time for the other listener (`unclaimed.ts`).
 */
import type { FastifyInstance } from 'fastify'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { ApplicationUpgrades, type UpgradeSource } from './application-upgrades'
import { takeConnect, type ConnectArguments } from './extended-connect'
import { Http2UnsupportedError } from '../errors'
import { isHttp2, isHttp2Wanted, offerExtendedConnect, versionsOf } from './http-server'
import { RawSocket } from '../handshake/raw-socket'
import { SecondServers } from './second-servers'
import type { UpgradeTransport } from '../handshake/upgrade-transport'
import { nextTick } from '../stream/next-tick'
import { UnclaimedUpgrades } from './unclaimed'

/** Milliseconds that other listeners of the server have to answer an upgrade without a route. */
const UNCLAIMED_TIMEOUT = 10_000

/** The one listener of a server, for all applications that take its upgrades. */
export class UpgradeListener {
  readonly #source: UpgradeSource
  readonly #unclaimed: UnclaimedUpgrades
  /** Null for a server that speaks only HTTP/1: Fastify passes its upgrades on. */
  readonly #seconds: SecondServers | null
  /** Applications, by the method `routing`, which all instances of an application share. */
  readonly #known = new WeakMap<object, ApplicationUpgrades>()
  /** The applications that take upgrades now, once for each registration of the plugin in them. */
  #attached: ApplicationUpgrades[] = []

  /** @param unclaimedTimeout milliseconds until an upgrade without an answer gets a 404 */
  constructor (source: UpgradeSource, unclaimedTimeout = UNCLAIMED_TIMEOUT) {
    this.#source = source
    this.#seconds = isHttp2(source) ? new SecondServers(source) : null
    this.#unclaimed = new UnclaimedUpgrades(unclaimedTimeout, this.#giveUp)
  }

  /** Has the server, and those beside it, offer WebSockets over HTTP/2. */
  offerHttp2 (): void {
    if (this.#seconds === null) return
    offerExtendedConnect(this.#source)
    this.#seconds.isOffered = true
  }

  /** The upgrades of the application that `fastify` belongs to. */
  upgradesOf (fastify: FastifyInstance): ApplicationUpgrades {
    const { routing } = fastify
    const upgrades = this.#known.get(routing) ?? new ApplicationUpgrades(this.#source, fastify)
    this.#known.set(routing, upgrades)
    return upgrades
  }

  /** Begins to take upgrades for one registration of the plugin. */
  attach (upgrades: ApplicationUpgrades): void {
    // Our listener must be the first: then any later change of a socket comes from another one.
    if (this.#attached.length === 0) {
      this.#source.prependListener('upgrade', this.#onUpgrade)
      if (this.#seconds !== null) this.#source.prependListener('connect', this.#onConnect)
      this.#seconds?.begin()
    }
    this.#attached.push(upgrades)
  }

  /** Ends `attach` of one registration, which has closed. */
  detach (upgrades: ApplicationUpgrades): void {
    this.#attached.splice(this.#attached.indexOf(upgrades), 1)
    if (this.#attached.length > 0) return
    this.#source.off('upgrade', this.#onUpgrade)
    this.#source.off('connect', this.#onConnect)
    this.#seconds?.end()
  }

  /**
   * Refuses upgrades to an application that is closing. If the server closes with the application,
   * the time of the other listeners is over.
   *
   * @param timeout milliseconds until upgrades that have no answer yet are cut off
   */
  close (upgrades: ApplicationUpgrades, timeout: number): void {
    upgrades.close(timeout)
    if (upgrades.ownsSource) this.#unclaimed.close()
  }

  #onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    this.#take(new RawSocket(request, socket, head), this.#source.listenerCount('upgrade') === 1)
  }

  // Without a listener for `connect`, Node.js refuses each CONNECT of HTTP/2 with a 405. This event
  // of the server is not documented.
  #onConnect = (...args: ConnectArguments): void => {
    const isAlone = this.#source.listenerCount('connect') === 1
    const transport = takeConnect(args, isAlone)
    if (transport !== null) this.#take(transport, isAlone)
  }

  #take (transport: UpgradeTransport, isAlone: boolean): void {
    if (isAlone) {
      this.#answer(transport)
      return
    }
    transport.beginSharing()
    nextTick(this.#share, transport)
  }

  /** Answers an upgrade of a server that has no other listener. */
  #answer (transport: UpgradeTransport): void {
    const [first] = this.#attached
    const isOnly = this.#attached.at(-1) === first
    try {
      const chosen = isOnly ? first : this.#findClaimant(transport)
      const upgrades = chosen ?? this.#anyone()
      upgrades?.answer(transport)
    } catch (error) {
      this.#fail(transport, error)
    }
  }

  /** Decides on an upgrade that another listener may have taken. */
  #share = (transport: UpgradeTransport): void => {
    if (transport.isTaken) return
    try {
      const claimant = this.#findClaimant(transport)
      if (claimant === undefined) this.#unclaimed.add(transport)
      else claimant.answer(transport)
    } catch (error) {
      this.#fail(transport, error)
    }
  }

  /** The application whose route takes the upgrade. One that is not closing is preferred. */
  #findClaimant ({ asksFor, request }: UpgradeTransport): ApplicationUpgrades | undefined {
    // An upgrade to a form of HTTP, such as h2c, is served as plain HTTP, by any application.
    if (asksFor === 'http') return this.#anyone()
    if (asksFor === 'other') return undefined
    const claimants = this.#attached.filter((upgrades) => upgrades.claims(request))
    return claimants.find(({ isClosing }) => !isClosing) ?? claimants[0]
  }

  /** Any application, for an upgrade that no route claims. One that is not closing is preferred. */
  #anyone (): ApplicationUpgrades | undefined {
    return this.#attached.find(({ isClosing }) => !isClosing) ?? this.#attached[0]
  }

  /** Answers with an error that `shouldHandle` of the user has thrown. */
  #fail (transport: UpgradeTransport, error: unknown): void {
    this.#anyone()?.refuse(transport, error)
  }

  /** Answers an upgrade that no other listener has answered in time. */
  #giveUp = (transport: UpgradeTransport): void => {
    if (transport.isTaken) return
    const upgrades = this.#anyone()
    if (upgrades === undefined) transport.abort()
    else upgrades.answer(transport)
  }
}

const listeners = new WeakMap<UpgradeSource, UpgradeListener>()

/**
 * The one listener of a server.
 *
 * @param extendedConnect whether WebSockets over HTTP/2 are offered; if undefined, they are offered
 * only where the server does not speak HTTP/1
 * @throws FST_WS_HTTP2_UNSUPPORTED
 */
export function upgradeListenerOf (
  source: UpgradeSource, fastify: FastifyInstance, extendedConnect: boolean | undefined
): UpgradeListener {
  const isWanted = isHttp2Wanted(source, fastify, extendedConnect)
  if (!isWanted && versionsOf(source, fastify) === 'HTTP/2') throw new Http2UnsupportedError()
  const listener = listeners.get(source) ?? new UpgradeListener(source)
  listeners.set(source, listener)
  if (isWanted) listener.offerHttp2()
  return listener
}
