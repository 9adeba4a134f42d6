import type { JsonObject } from '../../asyncapi-types'

/** Whether a value is an object with members, and no array. */
export function isRecord (value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
