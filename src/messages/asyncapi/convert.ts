/** Makes JSON Schemas of the schemas of routes, which may be those of a library. */
import type { AsyncApiOptions } from '../../asyncapi-types'
import { UnsupportedSchemaError } from '../../errors'
import { toError } from '../../observe/thrown'
import { plainOf } from '../schemas'
import { isRecord } from './record'

/**
 * The JSON Schema of a schema, or undefined if the route has none.
 *
 * @param part the name of the schema in the route
 * @param url that of the route
 * @throws FST_WS_UNSUPPORTED_SCHEMA
 */
export type Convert = (schema: unknown, part: string, url: string) => unknown

/** Creates a converter that names the route and the schema in its errors. */
export function createConvert (
  toJsonSchema: AsyncApiOptions['toJsonSchema'] = toStandardJson
): Convert {
  return (schema, part, url) => {
    if (schema == null) return undefined
    try {
      return toJsonSchema(schema)
    } catch (cause) {
      throw new UnsupportedSchemaError(part, url, toError(cause).message, { cause })
    }
  }
}

/** A schema of a library that can make a JSON Schema of it (Standard JSON Schema). */
interface StandardSchema {
  readonly '~standard': {
    readonly vendor?: unknown
    readonly jsonSchema: { input (options: object): unknown }
  }
}

/**
 * Without its option `unrepresentable`, Zod throws at a type that JSON does not have, such as the
 * date of `z.coerce.date()`, which takes a text. With it, such a type is any JSON.
 */
const ZOD_OPTIONS = { libraryOptions: { unrepresentable: 'any' } }

/**
 * The messages on the wire are the input of a schema, also the outgoing ones: validators decode
 * them into its output, and serializers, such as that of fastify-type-provider-zod, encode the
 * output into them.
 */
function toStandardJson (schema: unknown): unknown {
  if (isStandard(schema)) {
    const { vendor, jsonSchema } = schema['~standard']
    return jsonSchema.input({ target: 'draft-07', ...(vendor === 'zod' && ZOD_OPTIONS) })
  }
  const plain = plainOf(schema)
  // The form of an object of a class is unknown, and its members may refer to the object itself.
  return isRecord(plain) && Object.getPrototypeOf(plain) !== Object.prototype ? {} : plain
}

function isStandard (schema: unknown): schema is StandardSchema {
  return isRecord(schema) && isRecord(schema['~standard']) &&
    isRecord(schema['~standard'].jsonSchema)
}
