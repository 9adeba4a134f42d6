import { inspect } from 'node:util'

/** Characters of a value in the text of an error. */
const MAX_TEXT = 100

/**
 * A wrong value in words, for the text of an error. The words are short and name only the class of
 * an object: one of its properties may be a password, and an object of a client may be of any size.
 * Never throws.
 */
export function describe (value: unknown): string {
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'object' && value !== null) return `an object (${classOf(value)})`
  if (typeof value !== 'string' || value.length <= MAX_TEXT) return inspect(value)
  return `${inspect(value.slice(0, MAX_TEXT))} and more`
}

function classOf (value: object): string {
  try {
    const name: unknown = Object.getPrototypeOf(value)?.constructor?.name
    return typeof name === 'string' ? name.slice(0, MAX_TEXT) : 'no class'
  } catch {
    // A proxy.
    return 'no class'
  }
}
