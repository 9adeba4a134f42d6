import type { FastifyBaseLogger } from 'fastify'
import { codeOf, textOf } from './thrown'

/** The levels that the plugin logs errors at. */
type Level = 'debug' | 'info' | 'warn' | 'error'

/** A logger, as far as errors need it. */
type ErrorLog = Pick<FastifyBaseLogger, Level>

/**
 * Logs an error and never throws. The serializer of the logger may throw (pino writes to the errors
 * that it serializes, and a frozen one refuses that): then a copy of the error is logged, and if
 * that fails too, its text. A logger that takes none of them gets nothing.
 *
 * @param fields logged beside the error
 */
export function logError (
  log: ErrorLog, level: Level, error: unknown, message: string, fields: object = {}
): void {
  const attempts = [
    () => { log[level]({ err: error, ...fields }, message) },
    () => { log[level]({ err: copyOf(error), ...fields }, message) },
    () => { log[level](fields, `${message}: ${textOf(error)}`) }
  ]
  for (const attempt of attempts) {
    if (succeeds(attempt)) return
  }
}

/** Logs a text and never throws, whatever the stream of the logger does. */
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
 * A new Error with the message, stack and code of another one, and without its other properties.
 *
 * @throws what a getter of the error throws
 */
function copyOf (error: unknown): Error {
  if (!(error instanceof Error)) return new Error(textOf(error))
  const { message, stack } = error
  const code = codeOf(error)
  return Object.assign(new Error(message), { stack, ...(code !== undefined && { code }) })
}
