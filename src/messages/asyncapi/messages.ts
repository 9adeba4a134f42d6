import { branchesOf, wrappedBy, type Find } from './branches'
import type { AsyncApiMessage, JsonObject } from '../../asyncapi-types'
import type { Names } from './names'
import { isRecord } from './record'
import { findPlace, type Place } from './references'
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
  const find: Find = (reference, from) => findPlace(reference, from, shared)
  return branchesOf(place, find).map((branch) => {
    const meanings = meaningsOf(branch, find)
    const name = names.take(nameOf(meanings), fallback)
    const title = firstText(meanings.map((schema) => schema.title))
    const description = firstText(meanings.map((schema) => schema.description))
    return {
      name,
      ...(title !== undefined && { title }),
      ...(description !== undefined && { summary: description }),
      contentType: 'application/json',
      payload: toObject(schemas.copy(branch, shared))
    }
  })
}

/** The schema of a message, then the one to which it refers, and so on. */
function meaningsOf (branch: Place, find: Find): JsonObject[] {
  const meanings = new Set<JsonObject>()
  for (let place: Place | undefined = branch; place !== undefined; place = wrappedBy(place, find)) {
    if (!isRecord(place.schema) || meanings.has(place.schema)) break
    meanings.add(place.schema)
  }
  return [...meanings]
}

/** The title of a message, its id, the constant in one of its properties, or its reference. */
function nameOf (meanings: readonly JsonObject[]): string {
  const names = meanings.flatMap(({ title, $id, properties }) => {
    const constants = isRecord(properties) ? Object.values(properties).map(constantOf) : []
    return [title, $id, ...constants]
  })
  return firstText([...names, ...meanings.map(({ $ref }) => $ref)]) ?? ''
}

function firstText (values: readonly unknown[]): string | undefined {
  return values.find((value) => typeof value === 'string')
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
