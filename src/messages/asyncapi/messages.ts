import type { DocumentSchemas } from './schemas'
import type { AsyncApiMessage } from '../../asyncapi-types'
import type { Names } from './names'
import { isRecord } from './record'

/** The schema of one side of a channel, and where it is used. */
export interface Side {
  /** The JSON Schema, or undefined if the route has none. */
  readonly schema: unknown
  /** The name for a message without a name of its own. */
  readonly name: 'incoming' | 'outgoing'
  readonly channel: string
  readonly shared: Readonly<Record<string, unknown>>
}

/** The messages of one side of a channel, by name: one for each branch of a union. */
export function messagesOf (side: Side, schemas: DocumentSchemas, names: Names): AsyncApiMessage[] {
  const root = side.schema ?? {}
  return branchesOf(root).map((branch) => {
    const name = names.take(nameOf(branch), side.name)
    const { title, description } = isRecord(branch) ? branch : {}
    return {
      name,
      ...(typeof title === 'string' && { title }),
      ...(typeof description === 'string' && { summary: description }),
      contentType: 'application/json',
      payload: schemas.copy(toObject(branch), root, `${side.channel}-${side.name}`, side.shared)
    }
  })
}

function branchesOf (schema: unknown): unknown[] {
  if (!isRecord(schema)) return [schema]
  for (const union of [schema.oneOf, schema.anyOf]) {
    // A member beside the union holds for all of its branches.
    if (Array.isArray(union) && Object.keys(schema).every(isOfUnion)) return union
  }
  return [schema]
}

function isOfUnion (key: string): boolean {
  return ['oneOf', 'anyOf', 'discriminator', '$schema', '$id', 'title', 'description', 'type',
    'required'].includes(key)
}

/** The name of a branch of a union: its title, its id, or the constant in one of its properties. */
function nameOf (branch: unknown): string {
  if (!isRecord(branch)) return ''
  const { title, $id, $ref, properties } = branch
  const constants = isRecord(properties) ? Object.values(properties).map(constantOf) : []
  for (const name of [title, $id, ...constants, $ref]) {
    if (typeof name === 'string') return name
  }
  return ''
}

/** AsyncAPI allows no boolean as the schema of a payload. */
function toObject (schema: unknown): unknown {
  if (typeof schema !== 'boolean') return schema
  return schema ? {} : { not: {} }
}

function constantOf (schema: unknown): unknown {
  if (!isRecord(schema)) return undefined
  const { const: constant, enum: values } = schema
  return Array.isArray(values) && values.length === 1 ? values[0] : constant
}
