/**
 * The names of all options, by the object that they belong to: the options of the plugin, its
 * `options`, or the `websocket` of a route. An option in the wrong object, or with a typing error
 * in its name, would have no effect, although it may be meant to protect the application. So such
 * a name is an error, and its message says what to write.
 */
import { isServer } from './checks'
import { MisplacedOptionError, UnknownOptionError } from '../errors'
import { UnsupportedOptionError } from '../stream/errors'
import { OWN_CLASS, WS_OPTIONS } from '../stream/server'

/** An object that holds options. */
export interface OptionPlace {
  /** The text before a name in a message, which says where the option is. */
  readonly prefix: string
  readonly names: readonly string[]
  /** Whether the object may have unknown names that do not resemble the name of an option. */
  readonly isOpen: boolean
}

/** An option of ws that the plugin refuses, because it needs its own class of sockets. */
const CLASS_OPTION = 'WebSocket'

/** An option of ws that is an option of the plugin itself, outside of `options`. */
const CLOSE_TIMEOUT = 'closeTimeout'

/** The options of the plugin itself. */
export const PLUGIN_PLACE: OptionPlace = {
  prefix: '',
  names: [
    'handle', 'schema', 'errorHandler', CLOSE_TIMEOUT, 'maxConnections', 'closeLog', 'options',
    'heartbeat', 'maxBackpressure', 'origin', 'compatible', 'preClose', 'broker', 'maxSubscriptions'
  ],
  // `@fastify/autoload` and fastify-cli pass all options of an application to each plugin.
  isOpen: true
}

/** The option `options`. */
export const SERVER_PLACE: OptionPlace = {
  prefix: 'options.',
  names: [
    'objectMode', 'binary', 'highWaterMark', 'pauseTimeout', 'extendedConnect',
    ...WS_OPTIONS.filter((name) => name !== CLASS_OPTION && name !== CLOSE_TIMEOUT)
  ],
  isOpen: false
}

/** `perMessageDeflate` of ws 8. ws exports no list of these names, and may add more. */
export const DEFLATE_PLACE: OptionPlace = {
  prefix: 'options.perMessageDeflate.',
  names: [
    'threshold', 'concurrencyLimit', 'serverNoContextTakeover', 'clientNoContextTakeover',
    'serverMaxWindowBits', 'clientMaxWindowBits', 'zlibDeflateOptions', 'zlibInflateOptions'
  ],
  isOpen: true
}

/** The `websocket` of a route. */
export const ROUTE_PLACE: OptionPlace = {
  prefix: 'websocket.',
  names: ['heartbeat', 'maxPayload', 'maxBackpressure', 'errorHandler', 'origin'],
  isOpen: false
}

/** The `schema` of the plugin. */
export const SCHEMA_PLACE: OptionPlace = {
  prefix: 'schema.',
  names: ['incoming', 'outgoing'],
  isOpen: false
}

/** Where a misplaced option may belong. The plugin has all options that a route can have. */
const HOMES = [PLUGIN_PLACE, SERVER_PLACE, SCHEMA_PLACE]

/**
 * Options of the plugin's `options` that are also common options of applications. Among the options
 * of an application they are no sign of a mistake.
 */
const COMMON_NAMES = ['host', 'port', 'backlog', 'server']

/** Letters. A shorter name resembles too many other words. */
const MIN_MISTYPED = 5

/** Options of the plugin whose names mean something else in the declaration of a route. */
const FASTIFY_NAMES = ['path', 'schema', 'errorHandler', ...COMMON_NAMES]

/** The options that make a route a websocket route. */
const ROUTE_MARKS = ['websocket', 'wsHandler']

/**
 * Refuses names that are no options of a place. If the place is open, and for names that are not
 * enumerable, such as methods of a class, only two kinds are refused: options of another place, and
 * names that resemble an option. A name whose value is undefined or null counts as absent.
 *
 * @throws FST_WS_MISPLACED_OPTION, FST_WS_UNKNOWN_OPTION, FST_WS_UNSUPPORTED_OPTION
 */
export function checkNames (options: object, place: OptionPlace): void {
  for (const [name, isEnumerable] of namesOf(options)) {
    const isOpen = place.isOpen || !isEnumerable
    const error = place.names.includes(name) ? null : findError(name, place, isOpen)
    if (error === null) continue
    const value: unknown = Reflect.get(options, name)
    if (value == null) continue
    if (place === PLUGIN_PLACE && COMMON_NAMES.includes(name) && !isServer(value)) continue
    throw error
  }
}

/** All names that an object has or inherits, and whether they are enumerable there. */
function namesOf (options: object): Map<string, boolean> {
  const names = new Map<string, boolean>()
  let object: object | null = options
  for (; object !== null; object = Object.getPrototypeOf(object)) {
    for (const name of Object.getOwnPropertyNames(object)) {
      // Every object has these.
      if (name in Object.prototype || names.has(name)) continue
      names.set(name, Object.prototype.propertyIsEnumerable.call(object, name))
    }
  }
  return names
}

function findError (name: string, place: OptionPlace, isOpen: boolean): Error | null {
  const path = place.prefix + name
  if (name === CLASS_OPTION) return new UnsupportedOptionError(path, OWN_CLASS)
  const hint = place === ROUTE_PLACE ? schemaHint(name) : undefined
  if (hint !== undefined) return new MisplacedOptionError(path, hint)
  const home = homeOf(name)
  if (home !== undefined) return new MisplacedOptionError(path, `give it to the plugin as ${home}`)
  const near = nearestTo(name, place)
  if (near !== undefined) return new UnknownOptionError(path, `did you mean ${near}?`)
  return isOpen ? null : new UnknownOptionError(path, `there are ${place.names.join(', ')}`)
}

/** Where the schemas for the messages of a route belong, if `name` is one of them. */
function schemaHint (name: string): string | undefined {
  if (name === 'schema') return 'write it beside websocket'
  return SCHEMA_PLACE.names.includes(name)
    ? `write schema: { ${name} } beside websocket`
    : undefined
}

function homeOf (name: string): string | undefined {
  const home = HOMES.find(({ names }) => names.includes(name))
  return home && home.prefix + name
}

/**
 * Refuses options of WebSockets that are beside the `websocket` of a route and not in it, and names
 * that resemble `websocket` or `wsHandler`.
 *
 * @throws FST_WS_MISPLACED_OPTION, FST_WS_UNKNOWN_OPTION
 */
export function checkDeclaration (route: object, isWebsocket: boolean): void {
  for (const [name, value] of Object.entries(route)) {
    if (value == null || ROUTE_MARKS.includes(name)) continue
    const path = `${name} of the route`
    const near = ROUTE_MARKS.find((mark) => isSlipOf(name.toLowerCase(), mark.toLowerCase()))
    if (near !== undefined) throw new UnknownOptionError(path, `did you mean ${near}?`)
    if (!isWebsocket || FASTIFY_NAMES.includes(name)) continue
    if (ROUTE_PLACE.names.includes(name)) {
      throw new MisplacedOptionError(path, `write websocket: { ${name} }`)
    }
    if (SCHEMA_PLACE.names.includes(name)) {
      throw new MisplacedOptionError(path, `write schema: { ${name} }`)
    }
    const home = homeOf(name)
    if (home !== undefined) throw new MisplacedOptionError(path, `give it to the plugin as ${home}`)
  }
}

/**
 * Refuses names in the `schema` of a websocket route that resemble those of schemas for messages:
 * without its schema, every message would be taken.
 *
 * @throws FST_WS_UNKNOWN_OPTION
 */
export function checkSchemaNames (schema: object): void {
  const { prefix, names } = SCHEMA_PLACE
  for (const name of Object.keys(schema)) {
    if (names.includes(name)) continue
    const near = names.find((known) => isSlipOf(name.toLowerCase(), known))
    if (near === undefined) continue
    throw new UnknownOptionError(`${prefix}${name} of the route`, `did you mean ${near}?`)
  }
}

/** The option that may be meant by `name`. Options of this place come first. */
function nearestTo (name: string, place: OptionPlace): string | undefined {
  const known = [place, ...HOMES].flatMap(({ prefix, names }) => {
    return names.map((known) => ({ path: prefix + known, name: known }))
  })
  return known.find((known) => {
    return known.name.length >= MIN_MISTYPED && !COMMON_NAMES.includes(known.name) &&
      isSlipOf(name.toLowerCase(), known.name.toLowerCase())
  })?.path
}

/** Whether the words differ by at most one letter, or by two letters that changed places. */
function isSlipOf (word: string, other: string): boolean {
  const shorter = Math.min(word.length, other.length)
  let start = 0
  while (start < shorter && word[start] === other[start]) start++
  let end = 0
  while (end < shorter - start && word.at(-1 - end) === other.at(-1 - end)) end++
  const rest = word.slice(start, word.length - end)
  const otherRest = other.slice(start, other.length - end)
  if (rest.length <= 1 && otherRest.length <= 1) return true
  return rest.length === 2 && rest === [...otherRest].reverse().join('')
}
