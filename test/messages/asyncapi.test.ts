import { Type } from '@fastify/type-provider-typebox'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import S from 'fluent-json-schema'
import { test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { AsyncApiDocument, AsyncApiOptions } from '../../src/asyncapi-types'
import fastifyWebsocket from '../../src/index'
import type { WebsocketPluginOptions } from '../../src/types'
import { echo } from '../helpers/plugin'
import { createFastify, type Teardown } from '../helpers/servers'

const INFO = { title: 'Chat', version: '1.0.0' }

/** The document of an application that `declare` declares. */
async function describe (
  t: Teardown, declare: (fastify: FastifyInstance) => unknown,
  options: Partial<AsyncApiOptions> = {}, plugin: WebsocketPluginOptions = {}
): Promise<AsyncApiDocument> {
  const fastify = createFastify(t)
  await fastify.register(fastifyWebsocket, plugin)
  await declare(fastify)
  await fastify.ready()
  return fastify.asyncapi({ info: INFO, ...options })
}

const Say = Type.Object({ type: Type.Literal('say'), text: Type.String() }, {
  description: 'Says something'
})
const Bye = Type.Object({ type: Type.Literal('bye') })

test('a route is a channel, with its parameters, its messages and its handshake', async (t) => {
  const document = await describe(t, (fastify) => {
    fastify.get('/rooms/:room', {
      websocket: true,
      schema: {
        summary: 'A room',
        description: 'Where people talk',
        tags: ['rooms'],
        params: {
          type: 'object',
          properties: {
            room: { type: 'integer', description: 'Its number', default: 1, enum: [1, 2] }
          }
        },
        querystring: { type: 'object', properties: { name: { type: 'string' } } },
        headers: { type: 'object', properties: { authorization: { type: 'string' } } },
        incoming: Type.Union([Say, Bye]),
        outgoing: { title: 'Said', type: 'object', properties: { from: { type: 'string' } } }
      }
    }, echo)
  })
  // As JSON, in which TypeBox has no marks of its own.
  t.same(JSON.parse(JSON.stringify(document)), {
    asyncapi: '3.0.0',
    info: INFO,
    channels: {
      'rooms-room': {
        address: '/rooms/{room}',
        summary: 'A room',
        description: 'Where people talk',
        tags: [{ name: 'rooms' }],
        parameters: { room: { description: 'Its number', default: '1', enum: ['1', '2'] } },
        messages: {
          say: {
            name: 'say',
            summary: 'Says something',
            contentType: 'application/json',
            payload: {
              type: 'object',
              description: 'Says something',
              required: ['type', 'text'],
              properties: { type: { type: 'string', const: 'say' }, text: { type: 'string' } }
            }
          },
          bye: {
            name: 'bye',
            contentType: 'application/json',
            payload: {
              type: 'object',
              required: ['type'],
              properties: { type: { type: 'string', const: 'bye' } }
            }
          },
          Said: {
            name: 'Said',
            title: 'Said',
            contentType: 'application/json',
            payload: {
              title: 'Said', type: 'object', properties: { from: { type: 'string' } }
            }
          }
        },
        bindings: {
          ws: {
            method: 'GET',
            query: { type: 'object', properties: { name: { type: 'string' } } },
            headers: { type: 'object', properties: { authorization: { type: 'string' } } },
            bindingVersion: '0.1.0'
          }
        }
      }
    },
    operations: {
      'rooms-room-receive': {
        action: 'receive',
        channel: { $ref: '#/channels/rooms-room' },
        messages: [
          { $ref: '#/channels/rooms-room/messages/say' },
          { $ref: '#/channels/rooms-room/messages/bye' }
        ]
      },
      'rooms-room-send': {
        action: 'send',
        channel: { $ref: '#/channels/rooms-room' },
        messages: [{ $ref: '#/channels/rooms-room/messages/Said' }]
      }
    },
    components: { schemas: {} }
  })
})

test('every websocket route is there, and no other, nor a hidden one', async (t) => {
  const document = await describe(t, (fastify) => {
    fastify.get('/', { websocket: true }, echo)
    fastify.get('/page', async () => 'page')
    fastify.route({ method: 'GET', url: '/both', handler: async () => '', wsHandler: echo })
    const hidden: object = { hide: true }
    fastify.get('/hidden', { websocket: true, schema: hidden }, echo)
    fastify.register(async (scope) => {
      scope.get('/files/*', { websocket: true }, echo)
      scope.get('/a-b', { websocket: true }, echo)
      scope.get('/a/b', { websocket: true }, echo)
      scope.get('/t/:from-:to(^\\d+(a|b)$)/x::y/:rest?', { websocket: true }, echo)
    }, { prefix: '/v1' })
  }, {}, { handle: echo })
  const addresses = Object.entries(document.channels).map(([id, { address }]) => [id, address])
  t.same(Object.fromEntries(addresses), {
    root: '/',
    both: '/both',
    'v1-files': '/v1/files/{wildcard}',
    'v1-a-b': '/v1/a-b',
    'v1-a-b-2': '/v1/a/b',
    'v1-t-from-to-d-a-b-x-y-rest': '/v1/t/{from}-{to}/x:y/{rest}'
  })
  t.same(document.operations, {})
  t.same(document.channels.root, {
    address: '/', messages: {}, bindings: { ws: { method: 'GET', bindingVersion: '0.1.0' } }
  })
})

test('a global handle with schemas is a channel of any path', async (t) => {
  const document = await describe(t, () => {}, {}, {
    handle: echo, schema: { incoming: { type: 'string' } }
  })
  t.match(document.channels, {
    root: {
      address: '/{wildcard}',
      parameters: { wildcard: {} },
      messages: { incoming: { payload: { type: 'string' } }, outgoing: { payload: {} } }
    }
  })
})

test('routes where no plugin takes upgrades are left out', async (t) => {
  const fastify = createFastify(t)
  let document: AsyncApiDocument | undefined
  fastify.get('/outside', { websocket: true }, echo)
  await fastify.register(async (scope) => {
    await scope.register(fastifyWebsocket)
    scope.get('/inside', { websocket: true }, echo)
    scope.addHook('onReady', async () => { document = scope.asyncapi({ info: INFO }) })
  })
  await fastify.ready()
  t.same(Object.keys(document?.channels ?? {}), ['inside'])
})

test('schemas that refer to others share them, each scope its own', async (t) => {
  const route = (scope: FastifyInstance, url: string, $ref: string): void => {
    scope.get(url, { websocket: true, schema: { incoming: { $ref } } }, echo)
  }
  const document = await describe(t, (fastify) => {
    fastify.addSchema({
      $id: 'person',
      type: 'object',
      properties: { name: { type: 'string' }, friends: { type: 'array', items: { $ref: '#' } } },
      definitions: { age: { type: 'integer' } }
    })
    fastify.addSchema({ $id: 'team', type: 'array', items: { $ref: 'person#' } })
    route(fastify, '/person', 'person#')
    route(fastify, '/age', 'person#/definitions/age')
    route(fastify, '/team', 'team')
    for (const id of ['a', 'b']) {
      fastify.register(async (scope) => {
        scope.addSchema({ $id: 'of/scope', title: id, type: 'string' })
        route(scope, `/${id}`, 'of/scope#')
      })
    }
  })
  const person = {
    type: 'object',
    properties: {
      name: { type: 'string' },
      friends: { type: 'array', items: { $ref: '#/components/schemas/person' } }
    },
    definitions: { age: { type: 'integer' } }
  }
  t.same(document.components.schemas, {
    person,
    team: { type: 'array', items: { $ref: '#/components/schemas/person' } },
    'of-scope': { title: 'a', type: 'string' },
    'of-scope-2': { title: 'b', type: 'string' }
  })
  const payloads = Object.values(document.channels).map(({ messages }) => {
    return Object.values(messages)[0]?.payload
  })
  t.same(payloads, [
    { $ref: '#/components/schemas/person' },
    { $ref: '#/components/schemas/person/definitions/age' },
    { $ref: '#/components/schemas/team' },
    { $ref: '#/components/schemas/of-scope' },
    { $ref: '#/components/schemas/of-scope-2' }
  ])
})

test('a schema that refers to a part of itself becomes a shared one', async (t) => {
  const tree = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    $id: 'tree',
    oneOf: [
      { type: 'object', properties: { next: { $ref: '#' }, leaf: { $ref: 'a/leaf' } } },
      { $ref: '#/definitions/leaf' }
    ],
    definitions: { leaf: { $id: 'a/leaf', type: 'string', enum: ['end'] } }
  }
  const document = await describe(t, (fastify) => {
    fastify.get('/tree', { websocket: true, schema: { outgoing: tree } }, echo)
  })
  const part = (pointer: string): object => {
    return { $ref: `#/components/schemas/tree-outgoing${pointer}` }
  }
  t.same(document.components.schemas, {
    'tree-outgoing': {
      oneOf: [
        {
          type: 'object', properties: { next: part(''), leaf: part('/definitions/leaf') }
        },
        part('/definitions/leaf')
      ],
      definitions: { leaf: { type: 'string', enum: ['end'] } }
    }
  })
})

test('messages of one channel have names of their own', async (t) => {
  const one = { const: 1 }
  const document = await describe(t, (fastify) => {
    fastify.get('/', {
      websocket: true,
      schema: {
        incoming: {
          type: 'object',
          discriminator: { propertyName: 'type' },
          required: ['type'],
          oneOf: [
            { properties: { type: { enum: ['say'] } } },
            { properties: { type: { const: 'say' } } },
            { properties: { type: one, kind: { enum: ['a', 'b'] } } },
            { $id: 'with id', properties: { type: one } },
            { properties: { type: true } },
            true
          ]
        },
        outgoing: false
      },
      validatorCompiler: () => () => true,
      serializerCompiler: () => JSON.stringify
    }, echo)
  })
  t.same(Object.keys(document.channels.root?.messages ?? {}), [
    'say', 'say-2', 'incoming', 'with-id', 'incoming-2', 'incoming-3', 'outgoing'
  ])
  t.match(document.channels.root?.messages, {
    'incoming-3': { payload: {} }, outgoing: { payload: { not: {} } }
  })
})

test('a union with more beside it is one message', async (t) => {
  const incoming = { anyOf: [{ type: 'object' }], maxProperties: 1 }
  const document = await describe(t, (fastify) => {
    fastify.get('/', { websocket: true, schema: { incoming } }, echo)
  })
  t.same(document.channels.root?.messages.incoming?.payload, incoming)
})

test('schemas of Zod are described by what they say of themselves', async (t) => {
  const document = await describe(t, (fastify) => {
    fastify.setValidatorCompiler(validatorCompiler)
    fastify.setSerializerCompiler(serializerCompiler)
    fastify.get('/:room', {
      websocket: true,
      schema: {
        params: z.object({ room: z.string().describe('Its name') }),
        incoming: z.discriminatedUnion('type', [
          z.object({ type: z.literal('say'), at: z.string().transform(Number) }),
          z.object({ type: z.literal('bye') })
        ])
      }
    }, echo)
  })
  t.match(document.channels.room, {
    parameters: { room: { description: 'Its name' } },
    messages: {
      say: { payload: { type: 'object', properties: { at: { type: 'string' } } } },
      bye: { payload: { type: 'object', required: ['type'] } }
    }
  })
})

test('a type of Zod that JSON does not have is any JSON, on the wire', async (t) => {
  const document = await describe(t, (fastify) => {
    fastify.setValidatorCompiler(validatorCompiler)
    fastify.setSerializerCompiler(serializerCompiler)
    fastify.get('/', {
      websocket: true,
      schema: {
        querystring: z.object({ since: z.coerce.date() }),
        incoming: z.object({
          at: z.coerce.date(), big: z.bigint(), map: z.map(z.string(), z.number())
        }),
        outgoing: z.object({
          at: z.date(),
          // The serializer encodes the Date.
          until: z.codec(z.iso.datetime(), z.date(), {
            decode: (text) => new Date(text), encode: (date) => date.toISOString()
          })
        })
      }
    }, echo)
  })
  const messages = document.channels.root?.messages
  t.match(document.channels.root?.bindings, {
    ws: { query: { type: 'object', required: ['since'] } }
  })
  t.match(messages?.incoming?.payload, { properties: { at: {}, big: {}, map: {} } })
  t.match(messages?.outgoing?.payload, {
    properties: { at: {}, until: { type: 'string', format: 'date-time' } }
  })
  t.notMatch(messages?.outgoing?.payload, { properties: { at: { type: 'string' } } })
})

const cause = new Error('there is none')
const WITHOUT_JSON = {
  '~standard': { vendor: 'other', jsonSchema: { input () { throw cause } } }
}

for (const part of ['incoming', 'outgoing', 'params', 'query', 'headers']) {
  test(`a schema of ${part} without JSON Schema is an error that names its route`, async (t) => {
    await t.rejects(describe(t, (fastify) => {
      fastify.setValidatorCompiler(() => () => true)
      fastify.setSerializerCompiler(() => JSON.stringify)
      const schema: object = { [part]: WITHOUT_JSON }
      fastify.get('/rooms/:room', { websocket: true, schema }, echo)
    }), {
      code: 'FST_WS_UNSUPPORTED_SCHEMA',
      message: `cannot describe the schema ${part} of /rooms/:room as JSON Schema: there is none`,
      cause
    })
  })
}

test('a reference that leads nowhere is any JSON, and one to another place stays', async (t) => {
  const document = await describe(t, (fastify) => {
    fastify.setValidatorCompiler(() => () => true)
    fastify.addSchema({ $id: 'some', type: 'string' })
    const properties = {
      none: { $ref: '#/properties/nothing', description: 'None' },
      member: { $ref: 'some#/type/0' },
      elsewhere: { $ref: 'http://example.com/a.json#/b' },
      relative: { $id: 'http://example.com/c/d', items: { $ref: '../a.json' } },
      known: { $id: 'http://example.com/e', items: { $ref: '#/none' } },
      opaque: { $id: 'urn:a', items: { $ref: 'b' } },
      malformed: { $ref: 'http://[' },
      '50%': { $ref: '#/properties/50%' }
    }
    fastify.get('/', { websocket: true, schema: { incoming: { $ref: 'none#/a' } } }, echo)
    fastify.get('/more', { websocket: true, schema: { incoming: { properties } } }, echo)
  })
  t.strictSame(document.channels.root?.messages['none-a']?.payload, {
    $comment: 'there is no schema none#/a'
  })
  t.strictSame(document.channels.more?.messages.incoming?.payload, {
    properties: {
      none: { $comment: 'there is no schema #/properties/nothing', description: 'None' },
      member: { $comment: 'there is no schema some#/type/0' },
      elsewhere: { $ref: 'http://example.com/a.json#/b' },
      relative: { items: { $ref: 'http://example.com/a.json' } },
      known: { items: { $comment: 'there is no schema #/none' } },
      opaque: { items: { $comment: 'there is no schema b' } },
      malformed: { $comment: 'there is no schema http://[' },
      '50%': { $ref: '#/components/schemas/more-incoming/properties/50%25' }
    }
  })
})

test('a fluent schema is described, and an object of another class is any JSON', async (t) => {
  class Unknown {
    readonly self = this
  }
  const document = await describe(t, (fastify) => {
    fastify.setValidatorCompiler(() => () => true)
    const params = S.object().prop('room', S.string().description('Its name'))
    fastify.get('/:room', {
      websocket: true, schema: { params, incoming: new Unknown(), outgoing: S.string() }
    }, echo)
  })
  t.match(document.channels.room, {
    parameters: { room: { description: 'Its name' } },
    messages: { incoming: { payload: {} }, outgoing: { payload: { type: 'string' } } }
  })
  t.strictSame(document.channels.room?.messages.incoming?.payload, {})
})

test('toJsonSchema describes schemas of another form', async (t) => {
  const document = await describe(t, (fastify) => {
    fastify.setValidatorCompiler(() => () => true)
    fastify.get('/', { websocket: true, schema: { incoming: 'a word' } }, echo)
  }, {
    toJsonSchema (schema) {
      t.equal(schema, 'a word', 'it gets nothing else')
      return { type: 'string', title: 'Word' }
    }
  })
  t.match(document.channels.root?.messages, { Word: { payload: { type: 'string' } } })
})

test('other members of the options are members of the document', async (t) => {
  const servers = { production: { host: 'example.com', protocol: 'wss' } }
  const securitySchemes = { user: { type: 'userPassword' } }
  const document = await describe(t, () => {}, { servers, components: { securitySchemes } })
  t.same(document.servers, servers)
  t.same(document.components, { securitySchemes, schemas: {} })
})

test('channels, operations and components of the options stay as they are', async (t) => {
  const channel = { address: 'mine', messages: {} }
  const operation = { action: 'send' as const, channel: { $ref: '#/channels/a' }, messages: [] }
  const given: Partial<AsyncApiOptions> = {
    channels: { a: channel },
    operations: { 'a-2-receive': operation },
    components: { schemas: { S: { type: 'boolean' } }, tags: { mine: { name: 'mine' } } }
  }
  const before = structuredClone(given)
  const document = await describe(t, (fastify) => {
    fastify.addSchema({ $id: 'S', type: 'string' })
    fastify.get('/a', { websocket: true, schema: { incoming: { $ref: 'S#' } } }, echo)
  }, given)
  t.match(document.channels, {
    a: channel,
    'a-2': { address: '/a', messages: { S: { payload: { $ref: '#/components/schemas/S-2' } } } }
  })
  t.same(document.operations['a-2-receive'], operation)
  t.match(document.operations['a-2-receive-2'], {
    action: 'receive', messages: [{ $ref: '#/channels/a-2/messages/S' }]
  })
  t.same(document.components, {
    schemas: { S: { type: 'boolean' }, 'S-2': { type: 'string' } }, tags: { mine: { name: 'mine' } }
  })
  t.same(given, before, 'the options do not change')
})

test('no part of the document has the name __proto__', async (t) => {
  const document = await describe(t, (fastify) => {
    const incoming = { title: '__proto__', type: 'object' }
    fastify.get('/__proto__', { websocket: true, schema: { incoming } }, echo)
  })
  t.same(Object.keys(document.channels), ['__proto__-2'])
  t.same(Object.keys(document.channels['__proto__-2']?.messages ?? {}), [
    '__proto__-2', 'outgoing'
  ])
})
