import { inspect } from 'node:util'

/**
 * What was thrown, as an Error whose `message`, `stack` and `code` can be read. A thrown value that
 * is none, or whose parts throw when they are read, becomes the cause of a new Error.
 */
export function toError (thrown: unknown): Error {
  try {
    if (thrown instanceof Error && isReadable(thrown)) return thrown
  } catch {
    // A revoked proxy throws already when it is asked for its class.
  }
  return new Error(textOf(thrown), { cause: thrown })
}

/** @throws what a getter of the error throws */
function isReadable ({ message, stack }: Error): boolean {
  return typeof message === 'string' && (stack === undefined || typeof stack === 'string')
}

/** A value as text. Never throws, whatever the value does when it is inspected. */
export function textOf (value: unknown): string {
  try {
    return inspect(value)
  } catch {
    return 'a value that cannot be inspected'
  }
}

/** The `code` of an error, undefined if there is none or it cannot be read. */
export function codeOf (error: unknown): unknown {
  try {
    return error instanceof Error && 'code' in error ? error.code : undefined
  } catch {
    return undefined
  }
}
