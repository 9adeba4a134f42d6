import { checkAll, isCount, isFalseOr, isLimit, isObject, LIMIT, type Check } from './checks'
import { InvalidOptionError } from './errors'
import { createOriginCheck, isOriginOption, ORIGIN } from './origin'
import { MAX_DELAY } from './stream/settings'
import type { OriginCheck, WebsocketConnectionOptions } from './types'

/** The options that a route can have of its own and that the plugin has for all. */
export const CONNECTION_OPTIONS: readonly Check[] = [
  ['heartbeat', isFalseOr(isInterval), `an integer from 1 to ${MAX_DELAY} or false`],
  ['maxBackpressure', isFalseOr(isLimit), `${LIMIT} or false`],
  ['origin', isFalseOr(isOriginOption), ORIGIN]
]

const ROUTE_OPTIONS: readonly Check[] = [
  ...CONNECTION_OPTIONS,
  ['maxPayload', isLimit, LIMIT]
]

/** Checked, complete options of the connections of a route. */
export interface ConnectionSettings {
  /** Milliseconds, or false. */
  readonly heartbeat: number | false
  readonly maxPayload: number
  readonly maxBackpressure: number | false
  /** Null if every origin is. */
  readonly isAllowedOrigin: OriginCheck | null
}

/**
 * Checks the `websocket` of a route: what it must be is a boolean or options.
 *
 * @throws FST_WS_INVALID_OPTION
 */
export function checkRouteOption (websocket: unknown): void {
  if (websocket === undefined || typeof websocket === 'boolean') return
  if (!isObject(websocket)) {
    throw new InvalidOptionError('websocket', 'a boolean or an object', websocket)
  }
  checkAll(ROUTE_OPTIONS, websocket)
  const known = ROUTE_OPTIONS.map(([name]) => name)
  const unknown = Object.keys(websocket).find((name) => !known.includes(name))
  if (unknown === undefined) return
  throw new InvalidOptionError('websocket', `an object with ${known.join(', ')}`, unknown)
}

/** What is given of checked options, and of `defaults` what is not. */
export function resolveConnectionOptions (
  { heartbeat, maxPayload, maxBackpressure, origin }: WebsocketConnectionOptions,
  defaults: ConnectionSettings
): ConnectionSettings {
  return {
    heartbeat: heartbeat ?? defaults.heartbeat,
    maxPayload: maxPayload ?? defaults.maxPayload,
    maxBackpressure: maxBackpressure ?? defaults.maxBackpressure,
    isAllowedOrigin: origin == null ? defaults.isAllowedOrigin : createOriginCheck(origin)
  }
}

function isInterval (value: unknown): boolean {
  return isCount(value) && value > 0 && value <= MAX_DELAY
}
