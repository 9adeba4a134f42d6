import type { RefusalCount } from './refusal-counts'
import type { TrafficNumbers } from './traffic'

/**
 * A snapshot of `fastify.websocketServer.stats()`. The numbers are those of one registration of the
 * plugin since it began, except `open`, `messagesWaiting` and `subscriptions`, which are those of
 * now.
 */
export interface WebsocketStats extends TrafficNumbers {
  /** Connections that are open now. */
  open: number
  /** Connections that were accepted. */
  accepted: number
  /**
   * Upgrades that were refused, by status and code of the error. They are counted for the whole
   * application, because an upgrade is often refused before it reaches a registration.
   */
  refused: RefusalCount[]
  /** Connections that have ended, by close code. */
  closed: Record<number, number>
  /** Connections that were cut off because the peer did not answer a ping. */
  unresponsive: number
  /** Connections that were closed with 1013 because the peer read too slowly. */
  tooSlow: number
  /** Messages that wait now for a handler to read them. */
  messagesWaiting: number
  /** Messages that this process has published on topics. */
  published: number
  /**
   * Volatile messages of topics that were not sent to a subscriber, because it had too much unsent.
   * A message that two subscribers miss counts twice.
   */
  skipped: number
  /** Subscriptions of connections to topics now: a connection with two topics counts twice. */
  subscriptions: number
  /** How often messages of other processes may have been lost. */
  gaps: number
}
