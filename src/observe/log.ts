/** Logging that never throws, whatever error is logged and whatever the logger does. */
import type { FastifyBaseLogger } from 'fastify'
import { codeOf, textOf } from './thrown'

/** The levels at which the plugin logs. */
type Level = 'debug' | 'info' | 'warn' | 'error'

/** The methods of a logger that the plugin calls. */
export type ErrorLog = Pick<FastifyBaseLogger, Level>

/**
 * Logs an error and never throws. The serializer of the logger may throw: pino's changes the error,
 * which fails if the error is frozen. Then a copy of the error is logged, and if that fails too,
 * only its text. If the logger throws again, nothing is logged.
 *
 * @param fields logged beside the error
 */
export function logError (
  log: ErrorLog, level: Level, error: unknown, message: string, fields: object = {}
): void {
  if (succeeds(() => { log[level]({ err: error, ...fields }, message) })) return
  if (succeeds(() => { log[level]({ err: copyOf(error), ...fields }, message) })) return
  succeeds(() => { log[level](fields, `${message}: ${textOf(error)}`) })
}

/** Logs a text and never throws, even if the logger does. */
export function logText (log: ErrorLog, level: Level, text: string): void {
  succeeds(() => { log[level](text) })
}

function succeeds (attempt: () => void): boolean {
  try {
    attempt()
    return true
  } catch {
    return false
  }
}

/**
 * A new Error with the message, stack and code of `error`, and without its other properties.
 *
 * @throws what a getter of the error throws
 */
function copyOf (error: unknown): Error {
  if (!(error instanceof Error)) return new Error(textOf(error))
  const { message, stack } = error
  const code = codeOf(error)
  return Object.assign(new Error(message), { stack, ...(code !== undefined && { code }) })
}
