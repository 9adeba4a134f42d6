// Which name is an option where: of the plugin, in its `options`, or in the `websocket` of a route.
// A name that stands in the wrong place, or that is mistyped, would be ignored without a word, and
// with it the guard that it stands for. So such a name is an error, which says what to write.
import { isServer } from './checks'
import { MisplacedOptionError, UnknownOptionError } from '../errors'
import { UnsupportedOptionError } from '../stream/errors'
import { OWN_CLASS, WS_OPTIONS } from '../stream/server'

/** An object that options stand in. */
export interface OptionPlace {
  /** What a message puts before a name, to say where it stands. */
  readonly prefix: string
  readonly names: readonly string[]
  /** Names that are nothing like an option may be here. */
  readonly isOpen: boolean
}

/** Not an option of the plugin, which needs its own class of sockets. */
const CLASS_OPTION = 'WebSocket'

/** An option of ws that the plugin has itself. */
const CLOSE_TIMEOUT = 'closeTimeout'

/** What to write instead of an option of `@fastify/websocket` that is not one here. */
const FOREIGN: Readonly<Record<string, string>> = {
  preClose: "it is a hook here, fastify.addHook('preClose', …)"
}

/** The options of the plugin itself. */
export const PLUGIN_PLACE: OptionPlace = {
  prefix: '',
  names: [
    'handle', 'errorHandler', CLOSE_TIMEOUT, 'maxConnections', 'options',
    'heartbeat', 'maxBackpressure', 'origin'
  ],
  // `@fastify/autoload` and fastify-cli pass all options of an application to each plugin.
  isOpen: true
}

/** What the option `options` may have. */
export const SERVER_PLACE: OptionPlace = {
  prefix: 'options.',
  names: [
    'objectMode', 'binary', 'highWaterMark', 'pauseTimeout',
    ...WS_OPTIONS.filter((name) => name !== CLASS_OPTION && name !== CLOSE_TIMEOUT)
  ],
  isOpen: false
}

/** What `perMessageDeflate` of ws 8 may have; ws does not tell, and may get more. */
export const DEFLATE_PLACE: OptionPlace = {
  prefix: 'options.perMessageDeflate.',
  names: [
    'threshold', 'concurrencyLimit', 'serverNoContextTakeover', 'clientNoContextTakeover',
    'serverMaxWindowBits', 'clientMaxWindowBits', 'zlibDeflateOptions', 'zlibInflateOptions'
  ],
  isOpen: true
}

/** What the `websocket` of a route may have. */
export const ROUTE_PLACE: OptionPlace = {
  prefix: 'websocket.',
  names: ['heartbeat', 'maxPayload', 'maxBackpressure', 'origin'],
  isOpen: false
}

/** Where a misplaced option may belong; what a route can have, the plugin can have for all. */
const HOMES = [PLUGIN_PLACE, SERVER_PLACE]

/** Among the options of an application, these say nothing of what the plugin was meant to do. */
const COMMON_NAMES = ['host', 'port', 'backlog', 'server']

/** Shorter names are near to too many words. */
const MIN_MISTYPED = 5

/** Options of the plugin whose names mean something else in the declaration of a route. */
const FASTIFY_NAMES = ['path', 'errorHandler', ...COMMON_NAMES]

/** What makes a websocket route of a route. */
const ROUTE_MARKS = ['websocket', 'wsHandler']

/**
 * Refuses names that are no options where they stand. In a place that is open, and of the methods
 * of a class, only those are refused that are options elsewhere or nearly are. A name whose value
 * is undefined or null is none.
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
  const hint = FOREIGN[name]
  if (hint !== undefined) return new UnknownOptionError(path, hint)
  const home = homeOf(name)
  if (home !== undefined) return new MisplacedOptionError(path, `give it to the plugin as ${home}`)
  const near = nearestTo(name, place)
  if (near !== undefined) return new UnknownOptionError(path, `did you mean ${near}?`)
  return isOpen ? null : new UnknownOptionError(path, `there are ${place.names.join(', ')}`)
}

function homeOf (name: string): string | undefined {
  const home = HOMES.find(({ names }) => names.includes(name))
  return home && home.prefix + name
}

/**
 * Refuses options of WebSockets that stand in the declaration of a route, beside its `websocket`,
 * and names that nearly make a websocket route of it.
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
    const home = homeOf(name)
    if (home !== undefined) throw new MisplacedOptionError(path, `give it to the plugin as ${home}`)
  }
}

/** The option that `name` may be a slip of: of this place first, or else of another. */
function nearestTo (name: string, place: OptionPlace): string | undefined {
  const known = [place, ...HOMES].flatMap(({ prefix, names }) => {
    return names.map((known) => ({ path: prefix + known, name: known }))
  })
  return known.find((known) => {
    return known.name.length >= MIN_MISTYPED && !COMMON_NAMES.includes(known.name) &&
      isSlipOf(name.toLowerCase(), known.name.toLowerCase())
  })?.path
}

/** Whether the words differ by at most a letter, or by two neighbours that changed places. */
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
