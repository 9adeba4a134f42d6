// Checked by the compiler alone: what is wrong here does not compile.
import { finished, pipeline } from 'node:stream'
import { pipeline as pipelineAsync } from 'node:stream/promises'
import type { JsonSchemaToTsProvider } from '@fastify/type-provider-json-schema-to-ts'
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import fastifyWebsocket, { type SocketStream } from '../../src/index'

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false

/** Compiles only if it is given the type `true`. */
function assertType<T extends true> (..._values: T[]): void {}

interface Say { type: 'say', text: string }
interface Bye { type: 'bye' }
interface Reply { from: string }

declare const source: NodeJS.ReadableStream
declare const anything: unknown

// --- TypeBox ---

const typebox = Fastify().withTypeProvider<TypeBoxTypeProvider>()
const TypeBoxSay = Type.Object({ type: Type.Literal('say'), text: Type.String() })
const TypeBoxBye = Type.Object({ type: Type.Literal('bye') })
const typeboxSchema = {
  params: Type.Object({ room: Type.String() }),
  incoming: Type.Union([TypeBoxSay, TypeBoxBye]),
  outgoing: Type.Object({ from: Type.String() })
}

typebox.get('/:room', {
  websocket: true, schema: typeboxSchema
}, async (connection, _req, { params }) => {
  assertType<Equal<typeof connection, SocketStream<Say | Bye, Reply>>>()
  assertType<Equal<typeof params, { room: string }>>()
  connection.on('data', (message) => { assertType<Equal<typeof message, Say | Bye>>() })
  for await (const message of connection) {
    assertType<Equal<typeof message, Say | Bye>>()
    if (message.type === 'say') assertType<Equal<typeof message.text, string>>()
    connection.write({ from: 'me' })
    connection.write({ from: 'me' }, () => {})
    assertType<Equal<ReturnType<typeof connection.serialize>, string>>()
    connection.serialize({ from: 'me' })
  }
  // @ts-expect-error: not of the schema
  connection.write({ from: 1 })
  // @ts-expect-error: not of the schema
  connection.write('text')
  // @ts-expect-error: not of the schema
  connection.end({ to: 'me' })
  // @ts-expect-error: not of the schema
  connection.serialize({})
  connection.end({ from: 'me' })
  connection.end()
  // Streams of Node.js do not know what they carry.
  source.pipe(connection)
  pipeline(source, connection, () => {})
  pipeline(connection, process.stdout, () => {})
  finished(connection, () => {})
  await pipelineAsync(connection, async function * (messages) {
    for await (const message of messages) yield message
  }, connection)
})

typebox.route({
  method: 'GET',
  url: '/',
  websocket: { heartbeat: 1000 },
  schema: typeboxSchema,
  handler (connection) {
    assertType<Equal<typeof connection, SocketStream<Say | Bye, Reply>>>()
  }
})

typebox.route({
  method: 'GET',
  url: '/',
  schema: { ...typeboxSchema, response: { 200: Type.String() } },
  handler: async (request) => {
    assertType<Equal<typeof request.params, { room: string }>>()
    return 'ok'
  },
  wsHandler (connection, _req, request) {
    assertType<Equal<typeof connection, SocketStream<Say | Bye, Reply>>>()
    assertType<Equal<typeof request.params, { room: string }>>()
  }
})

typebox.get('/', {
  websocket: true,
  schema: typeboxSchema,
  handler (connection) {
    assertType<Equal<typeof connection, SocketStream<Say | Bye, Reply>>>()
  }
})

typebox.get('/', { websocket: true, schema: { incoming: TypeBoxSay } }, (connection) => {
  assertType<Equal<typeof connection, SocketStream<Say, unknown>>>()
  connection.write({ any: 'JSON' })
})

typebox.get('/', { websocket: true, schema: { outgoing: TypeBoxSay } }, (connection) => {
  assertType<Equal<typeof connection, SocketStream<unknown, Say>>>()
})

// Without schemas for messages, nothing is different.
typebox.get('/', { websocket: true, schema: { params: typeboxSchema.params } }, (connection) => {
  assertType<Equal<typeof connection, SocketStream>>()
  connection.on('data', (chunk) => { chunk.toString() })
})

// --- Every way to read and listen ---

typebox.get('/:room', { websocket: true, schema: typeboxSchema }, async (connection) => {
  const methods = [
    'on', 'once', 'off', 'addListener', 'removeListener', 'prependListener', 'prependOnceListener'
  ] as const
  for (const method of methods) {
    connection[method]('data', (message) => { assertType<Equal<typeof message, Say | Bye>>() })
    connection[method]('error', (error) => { assertType<Equal<typeof error, Error>>() })
  }
  connection.once('data', function (message) {
    assertType<Equal<typeof message, Say | Bye>>()
    assertType<Equal<typeof this, SocketStream<Say | Bye, Reply>>>()
  })
  connection.on('data', () => {}).once('close', () => {}).off('end', () => {})
    .serialize({ from: 'me' })
  // @ts-expect-error: not of the schema
  connection.once('data', (message) => message.nothing)
  // @ts-expect-error: not of the schema
  connection.addListener('data', (message) => message.nothing)
  // @ts-expect-error: not of the schema
  connection.prependListener('data', (message) => message.nothing)
  assertType<Equal<ReturnType<typeof connection.read>, Say | Bye | null>>()
  for await (const message of connection.iterator({ destroyOnReturn: false })) {
    assertType<Equal<typeof message, Say | Bye>>()
    connection.end({ from: message.type })
  }
  // Any other event is accepted, and so is a listener that expects more than Node.js promises.
  connection.on('custom', (one, two) => [one, two])
  connection.on('error', ({ code }: NodeJS.ErrnoException) => code)
})

// --- JSON Schema ---

const json = Fastify().withTypeProvider<JsonSchemaToTsProvider>()

json.get('/', {
  websocket: true,
  schema: {
    incoming: {
      type: 'object',
      required: ['type', 'text'],
      additionalProperties: false,
      properties: { type: { const: 'say' }, text: { type: 'string' } }
    },
    outgoing: {
      type: 'object',
      required: ['from'],
      additionalProperties: false,
      properties: { from: { type: 'string' } }
    }
  }
}, (connection) => {
  connection.on('data', (message) => { assertType<Equal<typeof message, Say>>() })
  connection.write({ from: 'me' })
  // @ts-expect-error: not of the schema
  connection.write({ from: 1 })
})

// --- Zod ---

const zod = Fastify().withTypeProvider<ZodTypeProvider>()
const ZodMessage = z.discriminatedUnion('type', [
  z.object({ type: z.literal('say'), text: z.string(), at: z.string().transform(Number) }),
  z.object({ type: z.literal('bye') })
])

zod.get('/', {
  websocket: true,
  schema: { incoming: ZodMessage, outgoing: z.object({ from: z.string() }) }
}, (connection) => {
  assertType<Equal<
    typeof connection,
    SocketStream<Bye | { type: 'say', text: string, at: number }, Reply>
  >>()
  // @ts-expect-error: not of the schema
  connection.write({ from: 1 })
})

zod.route({
  method: 'GET',
  url: '/',
  schema: { incoming: ZodMessage },
  handler: async () => '',
  wsHandler (connection) {
    assertType<Equal<
      typeof connection,
      SocketStream<Bye | { type: 'say', text: string, at: number }, unknown>
    >>()
  }
})

// --- Without a type provider ---

const plain = Fastify()

plain.get('/', { websocket: true, schema: { incoming: { type: 'string' } } }, (connection) => {
  assertType<Equal<typeof connection, SocketStream<unknown, unknown>>>()
})

plain.get<{ Incoming: Say, Outgoing: Reply }>(
  '/', { websocket: true, schema: { incoming: anything, outgoing: anything } }, (connection) => {
    assertType<Equal<typeof connection, SocketStream<Say, Reply>>>()
  }
)

// --- The plugin ---

plain.register(fastifyWebsocket, { handle () {}, schema: { incoming: { type: 'object' } } })
// @ts-expect-error: it has no other schemas
plain.register(fastifyWebsocket, { handle () {}, schema: { body: { type: 'object' } } })

plain.get('/', {
  websocket: {
    errorHandler (error, connection, request) {
      assertType<Equal<typeof error, Error>>()
      assertType<Equal<typeof connection, SocketStream>>()
      assertType<Equal<typeof request.id, string>>()
    }
  }
}, () => {})
