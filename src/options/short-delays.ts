/** A warning for delays that may be meant as seconds. All delays of the plugin are milliseconds. */
import type { OptionPlace } from './names'

/** Options in milliseconds. Other libraries have such options in seconds. */
const DELAYS = ['heartbeat', 'closeTimeout', 'pauseTimeout']

/** Milliseconds. A shorter delay makes sense in tests, so it is a warning and not an error. */
const MIN_USUAL_DELAY = 500

/** The warnings so far. An option may be read more than once, but its warning comes once. */
const given = new Set<string>()

/** Warns once of each delay that looks like seconds. 0 and `false` do not. */
export function warnOfShortDelays (options: object, { prefix }: OptionPlace): void {
  for (const name of DELAYS) {
    const value: unknown = Reflect.get(options, name)
    if (typeof value !== 'number' || value === 0 || value >= MIN_USUAL_DELAY) continue
    const warning = `fastify-websocket: ${prefix}${name} is ${value} milliseconds. ` +
      `If seconds were meant, write ${value * 1000}.`
    if (!given.has(warning)) process.emitWarning(warning, { code: 'FST_WS_SHORT_DELAY' })
    given.add(warning)
  }
}
