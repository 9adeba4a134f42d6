import type { AsyncApiMessage } from '../../asyncapi-types'
import type { Names } from './names'
import { isRecord } from './record'
import { placeOf, type Place } from './references'
import type { DocumentSchemas, Shared } from './schemas'

/** The schema of one side of a channel. */
export interface Side {
  readonly place: Place
  /** The name for a message without a name of its own. */
  readonly name: 'incoming' | 'outgoing'
  readonly shared: Shared
}

/** The messages of one side of a channel, by name: one for each branch of a union. */
export function messagesOf (
  { place, name: fallback, shared }: Side, schemas: DocumentSchemas, names: Names
): AsyncApiMessage[] {
  return branchesOf(place).map((branch) => {
    const name = names.take(nameOf(branch.schema), fallback)
    const { title, description } = isRecord(branch.schema) ? branch.schema : {}
    return {
      name,
      ...(typeof title === 'string' && { title }),
      ...(typeof description === 'string' && { summary: description }),
      contentType: 'application/json',
      payload: toObject(schemas.copy(branch, shared))
    }
  })
}

function branchesOf (place: Place): Place[] {
  const { schema } = place
  if (!isRecord(schema)) return [place]
  for (const key of ['oneOf', 'anyOf']) {
    const union = schema[key]
    // A member beside the union holds for all of its branches.
    if (Array.isArray(union) && Object.keys(schema).every(isOfUnion)) {
      return union.map((branch, index) => placeOf(branch, place, `/${key}/${index}`))
    }
  }
  return [place]
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
