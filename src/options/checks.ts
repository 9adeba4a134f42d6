/** The checks of single values of options, and their words for error messages. */
import { InvalidOptionError } from '../stream/errors'
import { MAX_INT32 } from '../stream/settings'

/** A rule for one option: its name, the check of its value, and the valid values in words. */
export type Check = readonly [name: string, isValid: (value: unknown) => boolean, wanted: string]

const MAX_PORT = 65_535

/** The largest limit that ws takes. ws counts in 32 bits: a larger number would be no limit. */
export const MAX_LIMIT = MAX_INT32

/** Describes the values that {@link isCount} allows, for error messages. */
export const COUNT = 'an integer from 0'

/** Describes the values that {@link isLimit} allows. */
export const LIMIT = `an integer from 0 to ${MAX_LIMIT}`

/** Describes the values that {@link isDelay} allows. */
export const DELAY = `an integer from 0 to ${MAX_INT32}`

/**
 * Checks options against rules. As in ws, an option that is undefined or null counts as not given.
 *
 * @throws FST_WS_INVALID_OPTION
 */
export function checkAll (checks: readonly Check[], options: object): void {
  for (const [name, isValid, wanted] of checks) {
    const value: unknown = Reflect.get(options, name)
    if (value != null && !isValid(value)) throw new InvalidOptionError(name, wanted, value)
  }
}

export function isFunction (value: unknown): boolean {
  return typeof value === 'function'
}

/**
 * Whether a value is an object whose properties can be options: a plain object, an instance of
 * a class, or a module. A Map, an array or a Date is not, because it has no such properties.
 */
export function isObject (value: unknown): value is object {
  return OPTION_HOLDERS.includes(Object.prototype.toString.call(value))
}

const OPTION_HOLDERS = ['[object Object]', '[object Module]']

export function isBoolean (value: unknown): boolean {
  return typeof value === 'boolean'
}

export function isBooleanOrObject (value: unknown): boolean {
  return isBoolean(value) || isObject(value)
}

export function isString (value: unknown): boolean {
  return typeof value === 'string'
}

/** Whether `value` can be the path of a request. ws compares paths without their query. */
export function isPath (value: unknown): boolean {
  return typeof value === 'string' && value.startsWith('/') && !value.includes('?')
}

export function isCount (value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

export function isPort (value: unknown): boolean {
  return isCount(value) && value <= MAX_PORT
}

export function isLimit (value: unknown): boolean {
  return isCount(value) && value <= MAX_LIMIT
}

export function isDelay (value: unknown): boolean {
  return isCount(value) && value <= MAX_INT32
}

/** The check of an option that `false` turns off. */
export function isFalseOr (isValid: (value: unknown) => boolean) {
  return (value: unknown): boolean => value === false || isValid(value)
}

const LEVELS: unknown[] = ['trace', 'debug', 'info', 'warn', 'error', 'fatal']

export function isLevel (value: unknown): boolean {
  return LEVELS.includes(value)
}

export function isServer (value: unknown): boolean {
  return isObject(value) && 'on' in value && 'listen' in value
}

const BROKER_METHODS = ['open', 'publish', 'subscribe', 'unsubscribe', 'close']

/** Describes the values that {@link isBroker} allows. */
export const BROKER = `an object with ${BROKER_METHODS.join(', ')}`

export function isBroker (value: unknown): boolean {
  return isObject(value) && BROKER_METHODS.every((name) => isFunction(Reflect.get(value, name)))
}
