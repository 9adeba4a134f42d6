// The JSON Schemas of an AsyncAPI document: what is copied, and where references lead.
import { test } from 'tap'
import type { FastifyInstance } from 'fastify'
import type { AsyncApiDocument, JsonObject } from '../../src/asyncapi-types'
import fastifyWebsocket from '../../src/index'
import { echo } from '../helpers/plugin'
import { createFastify, type Teardown } from '../helpers/servers'

/** The document of an application with one route. ajv has compiled its schema. */
async function describe (
  t: Teardown, incoming: object, declare: (fastify: FastifyInstance) => void = () => {}
): Promise<AsyncApiDocument> {
  const fastify = createFastify(t, { ajv: { customOptions: { strict: false } } })
  await fastify.register(fastifyWebsocket)
  declare(fastify)
  fastify.get('/a', { websocket: true, schema: { incoming } }, echo)
  await fastify.ready()
  return fastify.asyncapi({ info: { title: 'Schemas', version: '1.0.0' } })
}

/** The payload of the first message of the document. */
function payloadOf ({ channels }: AsyncApiDocument): unknown {
  return Object.values(channels.a?.messages ?? {})[0]?.payload
}

/** A value and all objects and arrays in it. */
function objectsIn (value: unknown, found = new Set<object>()): Set<object> {
  if (typeof value !== 'object' || value === null) return found
  found.add(value)
  for (const member of Object.values(value)) objectsIn(member, found)
  return found
}

test('properties may have the names of keywords', async (t) => {
  const schema = {
    type: 'object',
    required: ['$schema'],
    properties: {
      $schema: { type: 'string' },
      $id: { type: 'string' },
      $ref: { type: 'string' },
      const: { $id: 'inner', type: 'string' },
      properties: { type: 'object', properties: { $id: { type: 'string' } } }
    }
  }
  const document = await describe(t, schema)
  t.strictSame(payloadOf(document), {
    ...schema, properties: { ...schema.properties, const: { type: 'string' } }
  })
})

test('values in a schema stay as they are, and are copies', async (t) => {
  const value = { $id: 'x', $schema: 'y', $ref: '#/z', list: [{ $id: 1 }, null] }
  const schema = {
    type: 'object',
    properties: {
      const: { const: value },
      enum: { enum: [value] },
      default: { type: 'object', default: value },
      examples: { examples: [value] },
      'x-unknown': { 'x-unknown': value }
    },
    default: { properties: { $id: 'x' } }
  }
  const document = await describe(t, schema)
  t.strictSame(payloadOf(document), schema)
  const copied = objectsIn(payloadOf(document))
  t.same([...objectsIn(schema)].filter((part) => copied.has(part)), [])
})

/** Schemas with a reference at each place where a schema can be. */
const PLACES: readonly JsonObject[] = [
  ...['additionalItems', 'additionalProperties', 'contains', 'contentSchema', 'else', 'if', 'items',
    'not', 'propertyNames', 'then', 'unevaluatedItems', 'unevaluatedProperties']
    .map((key) => ({ [key]: { $ref: 'S#' } })),
  ...['allOf', 'anyOf', 'oneOf', 'items', 'prefixItems']
    .map((key) => ({ [key]: [{ $ref: 'S#' }, true] })),
  ...['$defs', 'definitions', 'dependencies', 'dependentSchemas', 'patternProperties', 'properties']
    .map((key) => ({ [key]: { a: { $ref: 'S#' }, b: false } }))
]

test('references are found wherever a schema can be', async (t) => {
  const schema = { type: 'object', properties: { all: { allOf: PLACES } } }
  const document = await describe(t, schema, (fastify) => {
    fastify.addSchema({ $id: 'S', type: 'string' })
  })
  const expected = JSON.stringify(schema).replaceAll('"S#"', '"#/components/schemas/S"')
  t.strictSame(payloadOf(document), JSON.parse(expected))
})

test('names of properties in dependencies stay, and an object of a class', async (t) => {
  const at = new Date(0)
  const schema = { type: 'object', dependencies: { a: ['b'] }, default: { at } }
  t.strictSame(payloadOf(await describe(t, schema)), schema)
})
