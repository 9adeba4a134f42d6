import type { FastifyInstance } from 'fastify'
import {
  ConflictingOptionsError, InvalidHandleError, InvalidOptionError, MissingOptionError
} from './errors'
import { givenOf } from './given'
import type { WebSocketStreamServerOptions } from './stream/server'
import { MAX_DELAY } from './stream/settings'
import type {
  VerifyClient, WebsocketErrorHandler, WebsocketHandler, WebsocketPluginOptions,
  WebsocketServerOptions
} from './types'

const DEFAULT_CLOSE_TIMEOUT = 10_000
const MAX_PORT = 65_535

/** Where the plugin's own server listens. */
export interface ListenSettings {
  readonly port: number
  readonly host: string | undefined
  readonly backlog: number | undefined
}

type Check = readonly [name: string, isValid: (value: unknown) => boolean, wanted: string]

const PLUGIN_OPTIONS: readonly Check[] = [
  ['errorHandler', isFunction, 'a function'],
  ['closeTimeout', isDelay, 'an integer from 0 to 2147483647'],
  ['options', isObject, 'an object']
]

const SERVER_OPTIONS: readonly Check[] = [
  ['objectMode', isBoolean, 'a boolean'],
  ['binary', isBoolean, 'a boolean'],
  ['host', isString, 'a string'],
  ['port', isPort, 'an integer from 0 to 65535'],
  ['backlog', isCount, 'an integer from 0'],
  ['server', isServer, 'an HTTP or HTTPS server'],
  ['verifyClient', isFunction, 'a function'],
  ['handleProtocols', isFunction, 'a function'],
  ['path', isString, 'a string'],
  ['noServer', isBoolean, 'a boolean'],
  ['clientTracking', isBoolean, 'a boolean'],
  ['perMessageDeflate', isBooleanOrObject, 'a boolean or an object'],
  ['maxPayload', isCount, 'an integer from 0']
]

const EXCLUSIVE_OPTIONS = [
  ['server', 'port'],
  ['server', 'noServer'],
  ['port', 'noServer']
] as const

/** Checked, complete options of the plugin. */
export interface PluginSettings {
  readonly handle: WebsocketHandler | null
  readonly errorHandler: WebsocketErrorHandler | null
  readonly closeTimeout: number
  /** Server whose upgrades are taken; null for the one of the Fastify instance. */
  readonly server: NonNullable<WebsocketServerOptions['server']> | null
  /** Address of a server of the plugin's own, or null. */
  readonly listen: ListenSettings | null
  readonly noServer: boolean
  readonly verifyClient: VerifyClient | null
  /** For ws and the streams. */
  readonly websocket: WebSocketStreamServerOptions
}

/**
 * Checks the options of the plugin and fills in the defaults.
 *
 * @throws FST_WS_INVALID_HANDLE, FST_WS_INVALID_OPTION, FST_WS_CONFLICTING_OPTIONS
 */
export function resolveOptions (
  input: WebsocketPluginOptions, fastify: FastifyInstance
): PluginSettings {
  if (input.handle !== undefined && !isFunction(input.handle)) throw new InvalidHandleError()
  checkAll(PLUGIN_OPTIONS, input)
  const options = input.options ?? {}
  checkAll(SERVER_OPTIONS, options)
  checkExclusive(options)

  const { server, port, host, backlog, noServer, path, verifyClient, ...websocket } = options
  return {
    handle: input.handle ?? null,
    errorHandler: input.errorHandler ?? null,
    closeTimeout: input.closeTimeout ?? DEFAULT_CLOSE_TIMEOUT,
    server: server ?? null,
    listen: port == null ? null : { port, host: host ?? undefined, backlog: backlog ?? undefined },
    noServer: noServer ?? false,
    verifyClient: verifyClient ?? null,
    websocket: {
      ...givenOf(websocket),
      ...(path != null && { path }),
      maxPayload: options.maxPayload ?? fastify.initialConfig.bodyLimit,
      closeTimeout: input.closeTimeout ?? DEFAULT_CLOSE_TIMEOUT,
      noServer: true
    }
  }
}

/** An option that is undefined or null is not given, as in ws. */
function checkAll (checks: readonly Check[], options: object): void {
  const values = new Map<string, unknown>(Object.entries(options))
  for (const [name, isValid, wanted] of checks) {
    const value = values.get(name)
    if (value != null && !isValid(value)) throw new InvalidOptionError(name, wanted, value)
  }
}

function checkExclusive (options: WebsocketServerOptions): void {
  for (const [one, other] of EXCLUSIVE_OPTIONS) {
    if (isGiven(options[one]) && isGiven(options[other])) {
      throw new ConflictingOptionsError(one, other)
    }
  }
  for (const name of ['host', 'backlog'] as const) {
    if (isGiven(options[name]) && !isGiven(options.port)) throw new MissingOptionError(name, 'port')
  }
}

function isGiven (value: unknown): boolean {
  return value != null && value !== false
}

function isFunction (value: unknown): boolean {
  return typeof value === 'function'
}

function isObject (value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isBoolean (value: unknown): boolean {
  return typeof value === 'boolean'
}

function isBooleanOrObject (value: unknown): boolean {
  return isBoolean(value) || isObject(value)
}

function isString (value: unknown): boolean {
  return typeof value === 'string'
}

function isCount (value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

function isPort (value: unknown): boolean {
  return isCount(value) && value <= MAX_PORT
}

function isDelay (value: unknown): boolean {
  return isCount(value) && value <= MAX_DELAY
}

function isServer (value: unknown): boolean {
  return isObject(value) && 'on' in value && 'listen' in value
}
