// The JSON Schemas of an AsyncAPI document: what is copied, and where references lead.
import { validatorCompiler } from 'fastify-type-provider-zod'
import { test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
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

/** What a reference in a document leads to. */
function follow (document: AsyncApiDocument, reference: string): unknown {
  let place: unknown = document
  for (const token of reference.replace('#/', '').split('/')) {
    const key = decodeURIComponent(token).replaceAll('~1', '/').replaceAll('~0', '~')
    place = Reflect.get(Object(place), key)
  }
  return place
}

/** All references in a value. */
function referencesIn (value: unknown): string[] {
  return JSON.stringify(value).match(/(?<="\$ref":")[^"]*/g) ?? []
}

const TEXT = { type: 'string' }

/** Schemas, and references in them that lead to `TEXT`. ajv takes all of them. */
const REFERENCES: ReadonlyArray<readonly [
  title: string, schema: JsonObject, added?: readonly JsonObject[]
]> = [
  ['an anchor in $id', {
    definitions: { x: { $id: '#x', ...TEXT } }, properties: { p: { $ref: '#x' } }
  }],
  ['an anchor', {
    definitions: { x: { $anchor: 'x', ...TEXT } }, properties: { p: { $ref: '#x' } }
  }],
  ['an anchor of an added schema', { properties: { p: { $ref: 'shared#x' } } }, [
    { $id: 'shared', definitions: { x: { $id: '#x', ...TEXT } } }
  ]],
  ['an id relative to that of the schema', {
    $id: 'http://example.com/a.json', properties: { p: { $ref: 'b.json' } }
  }, [{ $id: 'http://example.com/b.json', ...TEXT }]],
  ['an id relative to that of an added schema', {
    properties: { p: { $ref: 'http://example.com/c/a.json' } }
  }, [
    { $id: 'http://example.com/b.json', ...TEXT },
    { $id: 'http://example.com/c/a.json', $ref: '../b.json#' }
  ]],
  ['a path of a URL', {
    $id: 'http://example.com/a/b', properties: { p: { $ref: '/c#/definitions/d' } }
  }, [{ $id: 'http://example.com/c', definitions: { d: TEXT } }]],
  ['a relative id in a part', {
    $id: 'http://example.com/a/',
    definitions: { x: { $id: 'b/', definitions: { y: { $id: 'c', ...TEXT } } } },
    properties: { p: { $ref: 'b/c' } }
  }],
  ['a pointer in a part with its own id', {
    definitions: {
      q: {
        $id: 'http://example.com/q',
        definitions: { z: TEXT },
        type: 'object',
        properties: { y: { $ref: '#/definitions/z' } }
      },
      z: { type: 'number' }
    },
    properties: { p: { $ref: 'http://example.com/q#/properties/y' } }
  }],
  ['a pointer through a part with its own id', {
    definitions: {
      q: { $id: 'http://example.com/q', definitions: { z: TEXT, y: { $ref: '#/definitions/z' } } },
      z: { type: 'number' }
    },
    properties: { p: { $ref: '#/definitions/q/definitions/y' } }
  }],
  ['a part of an added schema, by its own id', { properties: { p: { $ref: 'inner' } } }, [
    { $id: 'outer', definitions: { x: { $id: 'inner', ...TEXT } } }
  ]],
  ['an id with an empty fragment', { properties: { p: { $ref: 'x#' } } }, [
    { $id: 'x#', ...TEXT }
  ]],
  ['an id with an empty pointer', { properties: { p: { $ref: 'x#/' } } }, [
    { $id: 'x', ...TEXT }
  ]],
  ['a URN', {
    $id: 'urn:example:a', definitions: { x: TEXT }, properties: { p: { $ref: '#/definitions/x' } }
  }],
  ['an id of a URN', {
    $id: 'urn:example:a', properties: { p: { $ref: 'urn:example:b' } }
  }, [{ $id: 'urn:example:b', ...TEXT }]],
  ['an escaped pointer', {
    definitions: { 'a b/c~d%#e': TEXT },
    properties: { p: { $ref: '#/definitions/a%20b~1c~0d%25%23e' } }
  }],
  ['a pointer into a list', {
    allOf: [{}, { properties: { x: TEXT } }],
    properties: { p: { $ref: '#/allOf/1/properties/x' } }
  }]
]

for (const [title, incoming, added = []] of REFERENCES) {
  test(`a reference leads to what it means: ${title}`, async (t) => {
    const document = await describe(t, { type: 'object', ...incoming }, (fastify) => {
      for (const schema of added) fastify.addSchema(schema)
    })
    for (const reference of referencesIn([document.components, document.channels])) {
      t.ok(follow(document, reference), reference)
    }
    let schema = Reflect.get(Object(Reflect.get(Object(payloadOf(document)), 'properties')), 'p')
    for (let [found] = referencesIn(schema); found !== undefined; [found] = referencesIn(schema)) {
      schema = follow(document, found)
    }
    t.strictSame(schema, TEXT)
  })
}

test('a referenced place that is not for schemas becomes a component', async (t) => {
  const document = await describe(t, {
    'x-parts': { a: { items: { $ref: '#/x-parts/b' } }, b: TEXT, c: true },
    properties: {
      a: { $ref: '#/x-parts/a' }, b: { $ref: '#/x-parts/b' }, c: { $ref: '#/x-parts/c' }
    }
  })
  t.match(payloadOf(document), {
    properties: {
      a: { $ref: '#/components/schemas/a-incoming-x-parts-a' },
      b: { $ref: '#/components/schemas/a-incoming-x-parts-b' },
      c: { $ref: '#/components/schemas/a-incoming/x-parts/c' }
    }
  })
  t.match(document.components.schemas, {
    'a-incoming-x-parts-a': { items: { $ref: '#/components/schemas/a-incoming-x-parts-b' } },
    'a-incoming-x-parts-b': TEXT,
    'a-incoming': { 'x-parts': { c: true } }
  })
})

test('outgoing schemas refer by ids as they are written', async (t) => {
  const fastify = createFastify(t)
  await fastify.register(fastifyWebsocket)
  fastify.addSchema({ $id: 'b', ...TEXT })
  const properties = { p: { $ref: 'b#' } }
  const outgoing = { $id: 'http://example.com/a', type: 'object', properties }
  fastify.get('/a', { websocket: true, schema: { outgoing } }, echo)
  await fastify.ready()
  const document = fastify.asyncapi({ info: { title: 'Schemas', version: '1.0.0' } })
  t.match(document.channels.a?.messages['http-example-com-a']?.payload, {
    properties: { p: { $ref: '#/components/schemas/b' } }
  })
})

test('a schema is a component once, though scopes and routes have it in common', async (t) => {
  const properties = { a: { $ref: '#/properties/s' }, s: { $ref: 'S#' } }
  const schema = { type: 'object', properties }
  const document = await describe(t, schema, (fastify) => {
    fastify.addSchema({ $id: 'S', ...TEXT })
    fastify.register(async (scope) => {
      scope.addSchema({ $id: 'T', $ref: 'S#' })
      scope.get('/b', { websocket: true, schema: { incoming: { $ref: 'T#' } } }, echo)
      scope.get('/c', { websocket: true, schema: { incoming: schema } }, echo)
    })
  })
  t.strictSame(Object.keys(document.components.schemas).sort(), ['S', 'T', 'a-incoming'])
})

const SAY = { title: 'Say', type: 'object' }
const BYE = { type: 'object', properties: { type: { const: 'bye' } } }
const UNION = { $id: 'U', oneOf: [SAY, { $ref: 'B#' }, { $ref: 'U#' }, { $ref: '#' }] }
const ADDED: readonly JsonObject[] = [UNION, { $id: 'B', title: 'Bye', ...BYE }]

/** Schemas, and the names of their messages. */
const UNIONS: ReadonlyArray<readonly [title: string, schema: JsonObject, names: string[]]> = [
  ['beside definitions', {
    $id: 'm', definitions: { P: TEXT }, $defs: { Q: TEXT }, oneOf: [SAY, BYE]
  }, ['Say', 'bye']],
  ['beside annotations', {
    title: 'T',
    description: 'd',
    $comment: 'c',
    examples: [{}],
    default: {},
    deprecated: true,
    readOnly: false,
    'x-mark': 1,
    anyOf: [SAY, BYE]
  }, ['Say', 'bye']],
  ['behind a reference', { $ref: 'U#', description: 'd' }, ['Say', 'Bye']],
  ['behind a reference to a definition', {
    $ref: '#/definitions/V', definitions: { V: { anyOf: [SAY, BYE] } }
  }, ['Say', 'bye']],
  ['behind allOf', { allOf: [{ $ref: 'U' }], title: 'T' }, ['Say', 'Bye']],
  ['in a union', { oneOf: [{ anyOf: [SAY, BYE] }, { title: 'C' }] }, ['Say', 'bye', 'C']],
  ['behind references in a union', {
    oneOf: [{ $ref: 'U' }, { title: 'C', $ref: 'B' }, { anyOf: [{ $ref: 'U' }] }]
  }, ['Say', 'Bye', 'C']],
  ['beside a condition', { title: 'One', minProperties: 1, oneOf: [SAY, BYE] }, ['One']],
  ['of conditions beside another', { title: 'One', oneOf: [SAY, BYE], anyOf: [SAY] }, ['One']],
  ['within a condition', {
    oneOf: [SAY, { title: 'One', maxProperties: 1, anyOf: [BYE] }]
  }, ['Say', 'One']],
  ['that is none, behind a reference', { $ref: 'B#', description: 'd' }, ['Bye']],
  ['that is none, in two that are', { allOf: [SAY, BYE], title: 'One' }, ['One']],
  ['of one schema in two ways', {
    oneOf: [{ $ref: 'B', title: 'One' }, { allOf: [{ $ref: 'B' }], title: 'Two' }]
  }, ['One', 'Two']]
]

for (const [title, incoming, names] of UNIONS) {
  test(`a message for each branch of a union ${title}`, async (t) => {
    const document = await describe(t, incoming, (fastify) => {
      for (const schema of ADDED) fastify.addSchema(schema)
    })
    const messages = document.channels.a?.messages ?? {}
    t.strictSame(Object.keys(messages), [...names, 'outgoing'])
    t.strictSame(document.operations['a-receive']?.messages.length, names.length)
    for (const reference of referencesIn(document)) t.ok(follow(document, reference), reference)
  })
}

test('a union that refers only to itself is one message', async (t) => {
  const fastify = createFastify(t)
  await fastify.register(fastifyWebsocket)
  fastify.setValidatorCompiler(() => () => true)
  fastify.get('/a', {
    websocket: true, schema: { incoming: { title: 'Self', anyOf: [{ $ref: '#' }] } }
  }, echo)
  await fastify.ready()
  const document = fastify.asyncapi({ info: { title: 'Schemas', version: '1.0.0' } })
  t.match(document.channels.a?.messages, {
    Self: { payload: { anyOf: [{ $ref: '#/components/schemas/a-incoming' }] } }
  })
})

test('a message has the texts of the schema to which it refers, after its own', async (t) => {
  const incoming = { oneOf: [{ $ref: 'A' }, { $ref: 'A', title: 'Own' }] }
  const document = await describe(t, incoming, (fastify) => {
    fastify.addSchema({ $id: 'A', title: 'Theirs', description: 'Text' })
  })
  t.match(document.channels.a?.messages, {
    Theirs: { title: 'Theirs', summary: 'Text', payload: { $ref: '#/components/schemas/A' } },
    Own: { title: 'Own', summary: 'Text', payload: { $ref: '#/components/schemas/A' } }
  })
})

test('a recursive branch of a union of Zod is a message', async (t) => {
  const Tree = z.object({ type: z.literal('tree'), get parts () { return z.array(Tree) } })
  const fastify = createFastify(t)
  await fastify.register(fastifyWebsocket)
  fastify.setValidatorCompiler(validatorCompiler)
  fastify.get('/a', {
    websocket: true,
    schema: {
      incoming: z.discriminatedUnion('type', [Tree, z.object({ type: z.literal('end') })])
    }
  }, echo)
  await fastify.ready()
  const document = fastify.asyncapi({ info: { title: 'Schemas', version: '1.0.0' } })
  t.strictSame(Object.keys(document.channels.a?.messages ?? {}), ['tree', 'end', 'outgoing'])
  for (const reference of referencesIn(document)) t.ok(follow(document, reference), reference)
})
