/**
 * The schemas within a JSON Schema. Only these members of a schema hold schemas. Members such as
 * `const` and `examples` hold values that may look like schemas.
 */
import type { JsonObject } from '../../asyncapi-types'
import { isRecord } from './record'

/** Members that are a schema, or a list of schemas. */
const SCHEMAS = new Set([
  'additionalItems', 'additionalProperties', 'allOf', 'anyOf', 'contains', 'contentSchema', 'else',
  'if', 'items', 'not', 'oneOf', 'prefixItems', 'propertyNames', 'then', 'unevaluatedItems',
  'unevaluatedProperties'
])

/** Members that are an object whose members are schemas. */
const SCHEMAS_BY_KEY = new Set([
  '$defs', 'definitions', 'dependencies', 'dependentSchemas', 'patternProperties', 'properties'
])

/** Makes what stands in the place of a schema. `pointer` is the JSON pointer to its place. */
type Change = (schema: unknown, pointer: string) => unknown

/** A copy of a schema, with other schemas within it, and other values of its other members. */
export function mapSubschemas (
  schema: JsonObject, change: Change, changeValue: (value: unknown) => unknown
): JsonObject {
  return mapRecord(schema, (value, key) => {
    const pointer = `/${key}`
    if (SCHEMAS.has(key)) {
      if (!Array.isArray(value)) return change(value, pointer)
      return value.map((item, index) => change(item, `${pointer}/${index}`))
    }
    if (!SCHEMAS_BY_KEY.has(key) || !isRecord(value)) return changeValue(value)
    return mapRecord(value, (item, name) => change(item, `${pointer}/${escapeToken(name)}`))
  })
}

/** A copy of a value as it stands in JSON. An object of a class is not copied. */
export function copyJson (value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copyJson)
  if (!isRecord(value) || Object.getPrototypeOf(value) !== Object.prototype) return value
  return mapRecord(value, copyJson)
}

function mapRecord (
  record: JsonObject, change: (value: unknown, key: string) => unknown
): JsonObject {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value, key)]))
}

/** Writes a key as a token of a JSON pointer (RFC 6901). */
export function escapeToken (key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1')
}
