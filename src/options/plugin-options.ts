/**
 * The options of the plugin: `resolveOptions` checks them and adds the defaults, which are in
 * `defaults.ts`. The defaults of streams are in `stream/settings.ts`.
 */
import type { FastifyInstance } from 'fastify'
import {
  BROKER, checkAll, COUNT, DELAY, isBoolean, isBooleanOrObject, isBroker, isCount, isDelay,
  isFalseOr, isFunction, isLevel, isLimit, isObject, isPath, isPort, isServer, isString, LIMIT,
  MAX_LIMIT, type Check
} from './checks'
import {
  CONNECTION_OPTIONS, resolveConnectionOptions, type ConnectionSettings
} from './route-options'
import {
  DEFAULT_CLOSE_LOG, DEFAULT_CLOSE_TIMEOUT, DEFAULT_HEARTBEAT, DEFAULT_MAX_FRAGMENTS
} from './defaults'
import {
  ConflictingOptionsError, InvalidHandleError, MissingOptionError, UnknownOptionError
} from '../errors'
import type { Level } from '../observe/log'
import { InvalidOptionError } from '../stream/errors'
import { readOptions, type Given } from '../stream/given'
import { checkNames, DEFLATE_PLACE, PLUGIN_PLACE, SCHEMA_PLACE, SERVER_PLACE } from './names'
import { warnOfShortDelays } from './short-delays'
import type { WebSocketStreamServerOptions } from '../stream/server'
import type { TopicBroker } from '../topics/broker'
import { DEFAULT_MAX_SUBSCRIPTIONS } from '../topics/hub'
import type {
  CompatiblePluginOptions, MessageSchemas, VerifyClient, WebsocketErrorHandler, WebsocketHandler,
  WebsocketPluginOptions, WebsocketServerOptions
} from '../types'

/** The part of Fastify's `pluginTimeout` that clients get, because `close()` must end within it. */
const SHUTDOWN_SHARE = 0.9

/** Where the plugin's own server listens. */
export interface ListenSettings {
  readonly port: number
  readonly host: string | undefined
  readonly backlog: number | undefined
}

/** The only package that `compatible` can name. */
const COMPATIBLE = '@fastify/websocket'

const PLUGIN_OPTIONS: readonly Check[] = [
  ...CONNECTION_OPTIONS,
  ['schema', isObject, 'an object'],
  ['closeTimeout', isDelay, DELAY],
  ['compatible', isCompatible, `'${COMPATIBLE}'`],
  ['preClose', isFunction, 'a function'],
  ['maxConnections', isFalseOr(isCount), `${COUNT} or false`],
  ['closeLog', isFalseOr(isLevel), 'a level of the log or false'],
  ['broker', isBroker, BROKER],
  ['maxSubscriptions', isLimit, LIMIT],
  ['options', isObject, 'an object']
]

const SERVER_OPTIONS: readonly Check[] = [
  ['objectMode', isBoolean, 'a boolean'],
  ['binary', isBoolean, 'a boolean'],
  ['host', isString, 'a string'],
  ['port', isPort, 'an integer from 0 to 65535'],
  ['backlog', isCount, COUNT],
  ['server', isServer, 'an HTTP or HTTPS server'],
  ['verifyClient', isFunction, 'a function'],
  ['handleProtocols', isFunction, 'a function'],
  ['path', isPath, "a path that begins with '/' and has no query"],
  ['noServer', isBoolean, 'a boolean'],
  ['extendedConnect', isBoolean, 'a boolean'],
  ['clientTracking', isBoolean, 'a boolean'],
  ['perMessageDeflate', isBooleanOrObject, 'a boolean or an object'],
  ['maxPayload', isLimit, LIMIT],
  ['maxFragments', isLimit, LIMIT],
  ['maxBufferedChunks', isLimit, LIMIT],
  ['maxPendingAutoPongs', isLimit, LIMIT],
  ['autoPong', isBoolean, 'a boolean'],
  ['allowSynchronousEvents', isBoolean, 'a boolean'],
  ['skipUTF8Validation', isBoolean, 'a boolean']
]

const EXCLUSIVE_OPTIONS = [
  ['server', 'port'],
  ['server', 'noServer'],
  ['port', 'noServer']
] as const

/** What to write instead of `preClose` where the registration is not compatible. */
const PRE_CLOSE_HOOK =
  "it is a hook here, fastify.addHook('preClose', …), or an option beside " +
  `compatible: '${COMPATIBLE}'`

/** In the message of an error, the name of the whole object of options. */
const ALL_OPTIONS = 'object of the plugin'

/** The options of both kinds of registrations. For handlers, one type stands for both kinds. */
type PluginOptions = Omit<WebsocketPluginOptions, 'compatible'> &
  Partial<Pick<CompatiblePluginOptions, 'compatible' | 'preClose'>>

/** Checked, complete options of the plugin. */
export interface PluginSettings {
  readonly handle: WebsocketHandler | null
  /** The schemas of the messages of `handle`. */
  readonly schema: MessageSchemas | null
  readonly errorHandler: WebsocketErrorHandler | null
  /** Handlers are called as `@fastify/websocket` calls them, and get text as Buffers. */
  readonly isCompatible: boolean
  readonly preClose: NonNullable<CompatiblePluginOptions['preClose']> | null
  /** Milliseconds that all clients together have when Fastify closes. */
  readonly shutdownTimeout: number
  /** Infinity for no limit. */
  readonly maxConnections: number
  /** The level of the line for the end of a connection. */
  readonly closeLog: Level | false
  /** The settings of connections whose route has no options of its own. */
  readonly connection: ConnectionSettings
  /** The server whose upgrades are taken, or null for the server of the Fastify instance. */
  readonly server: NonNullable<WebsocketServerOptions['server']> | null
  /** The address of the server that the plugin opens itself, or null. */
  readonly listen: ListenSettings | null
  readonly noServer: boolean
  /** Undefined for the default, which depends on the server. */
  readonly extendedConnect: boolean | undefined
  /** The options say explicitly that streams carry bytes. */
  readonly isByteMode: boolean
  readonly verifyClient: VerifyClient | null
  /** The broker that carries topics to other processes, or null. */
  readonly broker: TopicBroker | null
  /** The options for ws and the streams. */
  readonly websocket: WebSocketStreamServerOptions
}

/**
 * Checks the options of the plugin and fills in the defaults.
 *
 * @throws FST_WS_INVALID_HANDLE, FST_WS_INVALID_OPTION, FST_WS_MISPLACED_OPTION,
 * FST_WS_UNKNOWN_OPTION, FST_WS_UNSUPPORTED_OPTION, FST_WS_CONFLICTING_OPTIONS,
 * FST_WS_MISSING_OPTION
 */
export function resolveOptions (
  input: object, fastify: FastifyInstance
): PluginSettings {
  if (!isObject(input)) throw new InvalidOptionError(ALL_OPTIONS, 'an object', input)
  const plugin = readPluginOptions(input)
  const options = readServerOptions(plugin.options ?? {})

  const {
    server, port, host, backlog, noServer, extendedConnect, verifyClient, ...websocket
  } = options
  const connection = resolveConnectionOptions({ ...plugin, maxPayload: options.maxPayload }, {
    heartbeat: DEFAULT_HEARTBEAT,
    maxPayload: Math.min(Number(fastify.initialConfig.bodyLimit), MAX_LIMIT),
    maxBackpressure: false,
    isAllowedOrigin: null
  })
  const closeTimeout = plugin.closeTimeout ?? DEFAULT_CLOSE_TIMEOUT
  return {
    handle: plugin.handle ?? null,
    schema: plugin.schema ?? null,
    errorHandler: plugin.errorHandler ?? null,
    isCompatible: isCompatible(plugin.compatible),
    preClose: plugin.preClose ?? null,
    shutdownTimeout: Math.min(closeTimeout, shutdownLimit(fastify)),
    maxConnections: limitOf(plugin.maxConnections),
    closeLog: plugin.closeLog ?? DEFAULT_CLOSE_LOG,
    connection,
    server: server ?? null,
    listen: port === undefined ? null : { port, host, backlog },
    noServer: noServer ?? false,
    extendedConnect,
    isByteMode: !(options.objectMode ?? options.binary !== true),
    verifyClient: verifyClient ?? null,
    broker: plugin.broker ?? null,
    websocket: {
      maxFragments: DEFAULT_MAX_FRAGMENTS,
      ...websocket,
      maxPayload: connection.maxPayload,
      maxBackpressure: connection.maxBackpressure,
      maxSubscriptions: plugin.maxSubscriptions ?? DEFAULT_MAX_SUBSCRIPTIONS,
      closeTimeout,
      noServer: true
    }
  }
}

function readPluginOptions (input: object): Given<PluginOptions> {
  checkNames(input, PLUGIN_PLACE)
  const handle: unknown = Reflect.get(input, 'handle')
  if (handle !== undefined && !isFunction(handle)) throw new InvalidHandleError()
  const options = readOptions<PluginOptions>(input, PLUGIN_PLACE.names)
  checkAll(PLUGIN_OPTIONS, options)
  if (isGiven(options.preClose) && !isGiven(options.compatible)) {
    throw new UnknownOptionError('preClose', PRE_CLOSE_HOOK)
  }
  if (options.schema !== undefined) {
    checkNames(options.schema, SCHEMA_PLACE)
    if (options.handle === undefined) throw new MissingOptionError('schema', 'handle')
  }
  warnOfShortDelays(options, PLUGIN_PLACE)
  return options
}

function readServerOptions (input: WebsocketServerOptions): Given<WebsocketServerOptions> {
  checkNames(input, SERVER_PLACE)
  const options = readOptions(input, SERVER_PLACE.names)
  checkAll(SERVER_OPTIONS, options)
  if (isObject(options.perMessageDeflate)) checkNames(options.perMessageDeflate, DEFLATE_PLACE)
  checkExclusive(options)
  warnOfShortDelays(options, SERVER_PLACE)
  return options
}

/** Infinity for no limit. 0 is a valid limit: then every upgrade is refused. */
function limitOf (value: number | false | undefined): number {
  return value === false ? Infinity : value ?? Infinity
}

/** Milliseconds: a little less than the time after which `fastify.close()` would fail. */
function shutdownLimit ({ initialConfig: { pluginTimeout } }: FastifyInstance): number {
  return pluginTimeout ? pluginTimeout * SHUTDOWN_SHARE : Infinity
}

function checkExclusive (options: Given<WebsocketServerOptions>): void {
  for (const [one, other] of EXCLUSIVE_OPTIONS) {
    if (isGiven(options[one]) && isGiven(options[other])) {
      throw new ConflictingOptionsError(one, other)
    }
  }
  for (const name of ['host', 'backlog'] as const) {
    if (isGiven(options[name]) && !isGiven(options.port)) throw new MissingOptionError(name, 'port')
  }
}

function isCompatible (value: unknown): boolean {
  return value === COMPATIBLE
}

function isGiven (value: unknown): boolean {
  return value != null && value !== false
}
