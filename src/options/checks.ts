import { InvalidOptionError } from '../stream/errors'
import { MAX_INT32 } from '../stream/settings'

/** A rule for one option: its name, which values it may have, and those in words. */
export type Check = readonly [name: string, isValid: (value: unknown) => boolean, wanted: string]

const MAX_PORT = 65_535

/** Most that ws takes as a limit: it counts in 32 bits, and more would be no limit. */
export const MAX_LIMIT = 2 ** 31 - 1

// What is wanted, for the messages of errors.
export const COUNT = 'an integer from 0'
export const LIMIT = `an integer from 0 to ${MAX_LIMIT}`
export const DELAY = `an integer from 0 to ${MAX_INT32}`

/**
 * Checks options against rules. An option that is undefined or null is not given, as in ws.
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
 * Whether a value is an object that holds options under their names, of a class or a module
 * perhaps. A Map, an array, a Date and their like hold nothing there.
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

/** Whether `value` can be the path of a request; ws compares them without their query. */
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

/** `false` turns an option off; otherwise it must be valid. */
export function isFalseOr (isValid: (value: unknown) => boolean) {
  return (value: unknown): boolean => value === false || isValid(value)
}

export function isServer (value: unknown): boolean {
  return isObject(value) && 'on' in value && 'listen' in value
}
