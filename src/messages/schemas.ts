/** The schemas for messages of a route: which there are, as a compiler takes them. */
import { isObject } from '../options/checks'
import type { MessageSchemas } from '../types'

/** The names of the schemas for messages in the `schema` of a route. */
export const MESSAGE_SCHEMAS = ['incoming', 'outgoing'] as const

/** By which a schema of fluent-json-schema is known, as Fastify knows it. */
const kFluent = Symbol.for('fluent-schema-object')

/** The schemas for messages in the `schema` of a route, or null if there is none. */
export function readMessageSchemas (schema: unknown): MessageSchemas | null {
  if (!isObject(schema)) return null
  const [incoming, outgoing] = MESSAGE_SCHEMAS.map((name) => plainOf(Reflect.get(schema, name)))
  return incoming == null && outgoing == null ? null : { incoming, outgoing }
}

/** The JSON Schema of a fluent one. Fastify calls `valueOf` only for schemas of its own names. */
export function plainOf (schema: unknown): unknown {
  if (!isObject(schema)) return schema
  const isFluent = 'isFluentSchema' in schema || kFluent in schema
  return isFluent ? schema.valueOf() : schema
}
