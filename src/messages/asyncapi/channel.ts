/** A websocket route as a channel of AsyncAPI 3, with its operations. */
import type { FastifySchema } from 'fastify'
import type { DeclaredRoute } from '../../routes/application'
import { addressOf } from './address'
import { messagesOf } from './messages'
import { Names } from './names'
import { isRecord } from './record'
import { WholeSchema } from './references'
import type { DocumentSchemas } from './schemas'
import type {
  AsyncApiChannel, AsyncApiMessage, AsyncApiOperation, JsonObject, Reference
} from '../../asyncapi-types'

/** The version of the WebSockets bindings of AsyncAPI that the document follows. */
const BINDING_VERSION = '0.1.0'

/** A channel and its operations. */
export interface DescribedRoute {
  readonly id: string
  readonly channel: AsyncApiChannel
  readonly operations: ReadonlyArray<readonly [id: string, operation: AsyncApiOperation]>
}

/** Describes a websocket route. `id` is that of its channel. */
export function describeRoute (
  { url, instance, schema = {}, target }: DeclaredRoute, id: string, schemas: DocumentSchemas
): DescribedRoute {
  const { address, parameters } = addressOf(url)
  const names = new Names()
  const shared = schemas.share(instance.getSchemas())
  const sideOf = (name: 'incoming' | 'outgoing'): AsyncApiMessage[] => {
    if (target?.messages == null) return []
    const schema = schemas.convert(target.messages.schemas[name], name, url) ?? {}
    const { place } = new WholeSchema(schema, `${id}-${name}`)
    return messagesOf({ place, name, shared }, schemas, names)
  }
  const received = sideOf('incoming')
  const sent = sideOf('outgoing')
  const copy = (part: unknown, name: string): unknown => {
    const schema = schemas.convert(part, name, url)
    return schemas.copy(new WholeSchema(schema, `${id}-${name}`).place, shared)
  }
  return {
    id,
    channel: {
      address,
      ...describeText({ ...schema }),
      ...(parameters.length > 0 && {
        parameters: describeParameters(parameters, copy(schema.params, 'params'))
      }),
      messages: Object.fromEntries([...received, ...sent].map((each) => [each.name, each])),
      bindings: { ws: describeHandshake(schema, copy) }
    },
    operations: [
      ...operationOf(id, 'receive', received),
      ...operationOf(id, 'send', sent)
    ]
  }
}

/** The texts in the schema of a route that describe it. */
function describeText ({ summary, description, tags }: JsonObject): JsonObject {
  return {
    ...(typeof summary === 'string' && { summary }),
    ...(typeof description === 'string' && { description }),
    ...(Array.isArray(tags) && { tags: tags.map((name) => ({ name: String(name) })) })
  }
}

function describeHandshake (
  schema: FastifySchema & { query?: unknown }, copy: (part: unknown, name: string) => unknown
): JsonObject {
  const query = schema.querystring ?? schema.query
  return {
    method: 'GET',
    ...(isRecord(query) && { query: copy(query, 'query') }),
    ...(isRecord(schema.headers) && { headers: copy(schema.headers, 'headers') }),
    bindingVersion: BINDING_VERSION
  }
}

/** Parameters of AsyncAPI have no schema, and their values are strings. */
function describeParameters (names: readonly string[], params: unknown): JsonObject {
  const properties = isRecord(params) && isRecord(params.properties) ? params.properties : {}
  return Object.fromEntries(names.map((name) => [name, describeParameter(properties[name])]))
}

function describeParameter (schema: unknown): JsonObject {
  const { description, default: value, enum: values } = isRecord(schema) ? schema : {}
  return {
    ...(typeof description === 'string' && { description }),
    ...(value !== undefined && { default: String(value) }),
    ...(Array.isArray(values) && { enum: values.map(String) })
  }
}

function operationOf (
  id: string, action: 'receive' | 'send', messages: readonly AsyncApiMessage[]
): Array<[id: string, operation: AsyncApiOperation]> {
  if (messages.length === 0) return []
  const channel = refer(`#/channels/${id}`)
  return [[`${id}-${action}`, {
    action,
    channel,
    messages: messages.map(({ name }) => refer(`${channel.$ref}/messages/${name}`))
  }]]
}

function refer ($ref: string): Reference {
  return { $ref }
}
