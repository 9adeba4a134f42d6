/**
 * The options that a route can have of its own, as `websocket: { … }`, and that the plugin has for
 * all routes: heartbeat, maxPayload, maxBackpressure, errorHandler and origin.
 */
import {
  checkAll, isCount, isFalseOr, isFunction, isLimit, isObject, LIMIT, type Check
} from './checks'
import { InvalidOptionError } from '../stream/errors'
import { readOptions } from '../stream/given'
import { checkNames, ROUTE_PLACE } from './names'
import { createOriginCheck, isOriginOption, ORIGIN } from '../handshake/origin'
import { warnOfShortDelays } from './short-delays'
import { MAX_INT32 } from '../stream/settings'
import type { OriginCheck, WebsocketConnectionOptions } from '../types'

/** The rules of these options, except `maxPayload`: in the plugin, it belongs to `options`. */
export const CONNECTION_OPTIONS: readonly Check[] = [
  ['heartbeat', isFalseOr(isInterval), `an integer from 1 to ${MAX_INT32} or false`],
  ['maxBackpressure', isFalseOr(isLimit), `${LIMIT} or false`],
  ['errorHandler', isFunction, 'a function'],
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
  /** Null if every origin is allowed. */
  readonly isAllowedOrigin: OriginCheck | null
}

/**
 * Reads the `websocket` of a route, which is a boolean or an object of options. Returns a checked
 * copy of the options, because the object may change until the first upgrade comes, or null.
 *
 * @throws FST_WS_INVALID_OPTION, FST_WS_MISPLACED_OPTION, FST_WS_UNKNOWN_OPTION,
 * FST_WS_UNSUPPORTED_OPTION
 */
export function readRouteOption (websocket: unknown): WebsocketConnectionOptions | null {
  if (websocket === undefined || typeof websocket === 'boolean') return null
  if (!isObject(websocket)) {
    throw new InvalidOptionError('websocket', 'a boolean or an object', websocket)
  }
  checkNames(websocket, ROUTE_PLACE)
  const options = readOptions<WebsocketConnectionOptions>(websocket, ROUTE_PLACE.names)
  checkAll(ROUTE_OPTIONS, options)
  warnOfShortDelays(options, ROUTE_PLACE)
  const { origin } = options
  return Array.isArray(origin) ? { ...options, origin: [...origin] } : options
}

/** Completes checked options by `defaults`. */
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
  return isCount(value) && value > 0 && value <= MAX_INT32
}
