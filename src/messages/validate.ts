/**
 * Runs a validator of Fastify on a message and reads its answer, for every kind of compiler. A
 * valid value may become another one: ajv changes it in place, and other validators return the new
 * value.
 */
import { AsyncValidatorError } from '../errors'
import { toError } from '../observe/thrown'
import { CLOSE_POLICY_VIOLATION } from '../protocol/close-codes'
import { InvalidMessageError } from '../stream/errors'
import { dropPromise } from '../stream/thenable'

/** A function that a validator compiler of Fastify has made. */
export interface Validator {
  (value: unknown, place?: unknown): unknown
  /** The faults that ajv has found in the last value. */
  readonly errors?: unknown
  /** Only functions of ajv have it. */
  readonly schemaEnv?: unknown
}

/** Returns the valid form of a value. @throws FST_WS_INVALID_MESSAGE, FST_WS_ASYNC_VALIDATOR */
export type Validate = (value: unknown) => unknown

/** Creates the function that validates with `validator`. `url` is that of the route. */
export function createValidate (validator: Validator, url: string): Validate {
  if (validator.schemaEnv === undefined) {
    return (value) => valueOf(ask(validator, value), value, validator, url)
  }
  // ajv replaces the whole value, a number in the place of a string for example, only where it
  // gets the place of the value.
  const place = { parentData: { message: null as unknown }, parentDataProperty: 'message' }
  return (value) => {
    place.parentData.message = value
    try {
      const answer = ask(validator, value, place)
      return valueOf(answer, place.parentData.message, validator, url)
    } finally {
      place.parentData.message = null
    }
  }
}

/** Calls the validator. With a schema that refers to itself, it recurses as deep as the message. */
function ask (validator: Validator, value: unknown, place?: unknown): unknown {
  try {
    return validator(value, place)
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    throw new InvalidMessageError(CLOSE_POLICY_VIOLATION, 'message is nested too deep', { cause })
  }
}

/** @param value the value that was validated, for an answer that has none */
function valueOf (answer: unknown, value: unknown, validator: Validator, url: string): unknown {
  if (answer === true) return value
  if (answer === false) throw refusalOf(validator.errors)
  if (dropPromise(answer)) throw new AsyncValidatorError(url)
  if (typeof answer !== 'object' || answer === null) return value
  if ('error' in answer && Boolean(answer.error)) throw refusalOf(answer.error)
  return 'value' in answer ? answer.value : value
}

/** @param found a list of faults, or an error */
function refusalOf (found: unknown): Error {
  if (Array.isArray(found) && found.length > 0) {
    const text = found.slice(0, MAX_NAMED).map(textOf).join(', ').slice(0, MAX_TEXT)
    return new InvalidMessageError(CLOSE_POLICY_VIOLATION, text, { validation: found })
  }
  if (found instanceof Error) {
    const cause = toError(found)
    if (cause.message.length <= MAX_TEXT) {
      return new InvalidMessageError(CLOSE_POLICY_VIOLATION, cause.message, { cause })
    }
    // A logger would write the long text of the cause as well.
    return new InvalidMessageError(CLOSE_POLICY_VIOLATION, cause.message.slice(0, MAX_TEXT))
  }
  return new InvalidMessageError(CLOSE_POLICY_VIOLATION, 'message is not valid')
}

/** How many faults of a message its error names. A validator with `allErrors` may find millions. */
const MAX_NAMED = 5

/** Characters of that text. A client decides how long a key of its message is. */
const MAX_TEXT = 1000

/** The text is written as Fastify writes it for a body, with `message` instead of `body`. */
function textOf ({ instancePath = '', message = 'is not valid' }: Fault): string {
  return `message${instancePath} ${message}`
}

/** An entry of the list that a validator gives. */
interface Fault {
  readonly instancePath?: string
  readonly message?: string
}
