import { inspect } from 'node:util'

/**
 * Returns `thrown` if it is an Error whose `message` and `stack` can be read. Any other value, and
 * an Error whose getters throw, becomes the cause of a new Error.
 */
export function toError (thrown: unknown): Error {
  try {
    if (thrown instanceof Error && isReadable(thrown)) return thrown
  } catch {
    // `instanceof` throws for a revoked proxy.
  }
  return new Error(textOf(thrown), { cause: thrown })
}

/** @throws what a getter of the error throws */
function isReadable ({ message, stack }: Error): boolean {
  return typeof message === 'string' && (stack === undefined || typeof stack === 'string')
}

/** A value as text. Never throws, even if the value throws when it is inspected. */
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

/**
 * Whether an error only says that a reader has stopped on purpose. Node.js destroys a stream with
 * it when a `for await` loop is left.
 */
export function isAbort (error: Error): boolean {
  return codeOf(error) === 'ABORT_ERR'
}
