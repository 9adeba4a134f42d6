/** Finds the schemas for messages in the `schema` of a route, in the form that compilers take. */
import { isObject } from '../options/checks'
import type { MessageSchemas } from '../types'

/** The names of the schemas for messages in the `schema` of a route. */
export const MESSAGE_SCHEMAS = ['incoming', 'outgoing'] as const

/** The symbol by which Fastify also recognizes a schema of fluent-json-schema. */
const kFluent = Symbol.for('fluent-schema-object')

/** The schemas for messages in the `schema` of a route, or null if there is none. */
export function readMessageSchemas (schema: unknown): MessageSchemas | null {
  if (!isObject(schema)) return null
  const [incoming, outgoing] = MESSAGE_SCHEMAS.map((name) => plainOf(Reflect.get(schema, name)))
  return incoming == null && outgoing == null ? null : { incoming, outgoing }
}

/** The JSON Schema of a fluent schema. Fastify makes it only for parts of requests and replies. */
export function plainOf (schema: unknown): unknown {
  if (!isObject(schema)) return schema
  const isFluent = 'isFluentSchema' in schema || kFluent in schema
  return isFluent ? schema.valueOf() : schema
}
