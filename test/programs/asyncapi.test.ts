// The AsyncAPI document of an application, read by the parser and shown by the viewer of AsyncAPI.
import { join } from 'node:path'
import { Parser } from '@asyncapi/parser'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import t, { test } from 'tap'
import { z } from 'zod'
import fastifyWebsocket from '../../src/index'
import { browserTest, openPage } from '../helpers/browser'
import { connect } from '../helpers/client'
import { echo } from '../helpers/plugin'
import { startExample, type Program } from '../helpers/program'
import { createFastify, type Teardown } from '../helpers/servers'

// The parser is large, and the viewer contains it.
t.setTimeout(120_000)

/** What the parser finds wrong, as text. Hints on what a document could also have do not count. */
async function faultsOf (document: unknown): Promise<string[]> {
  const diagnostics = await new Parser().validate(JSON.stringify(document))
  return diagnostics
    .filter(({ severity }) => severity <= 1)
    .map(({ message, path }) => `${path.join('/')}: ${message}`)
}

test('the document is valid for the parser of AsyncAPI', async (t) => {
  const fastify = createFastify(t)
  await fastify.register(fastifyWebsocket, { handle: echo, schema: { incoming: true } })
  fastify.addSchema({
    $id: 'person',
    type: 'object',
    properties: { name: { type: 'string' }, friends: { type: 'array', items: { $ref: '#' } } }
  })
  fastify.get('/', { websocket: true }, echo)
  fastify.get('/people/:id(^\\d+$)/:part?', {
    websocket: true,
    schema: {
      summary: 'A person',
      tags: ['people'],
      params: { type: 'object', properties: { id: { type: 'integer', default: 1 } } },
      querystring: { type: 'object', properties: { name: { type: 'string' } } },
      headers: { type: 'object', properties: { authorization: { type: 'string' } } },
      incoming: {
        anyOf: [
          { $ref: 'person#' },
          { title: 'Tree', type: 'object', properties: { left: { $ref: '#/anyOf/1' } } }
        ]
      },
      outgoing: { $ref: 'person#' }
    }
  }, echo)
  fastify.register(async (scope) => {
    scope.setValidatorCompiler(validatorCompiler)
    scope.setSerializerCompiler(serializerCompiler)
    scope.get('/zod', {
      websocket: true,
      schema: {
        incoming: z.discriminatedUnion('type', [
          z.object({ type: z.literal('say'), at: z.iso.date() }),
          z.object({ type: z.literal('bye') })
        ]),
        outgoing: z.object({ text: z.string() })
      }
    }, echo)
  })
  await fastify.ready()
  const document = fastify.asyncapi({
    info: { title: 'People', version: '1.0.0' },
    servers: { local: { host: 'localhost', protocol: 'ws' } }
  })
  t.equal(Object.keys(document.channels).length, 4)
  t.same(await faultsOf(document), [])
  const broken = structuredClone(document)
  delete broken.components.schemas.person
  t.not((await faultsOf(broken)).length, 0, 'the parser follows references')
})

function startViewer (t: Teardown): Program {
  return startExample(t, 'asyncapi/server.ts', '0', {
    NODE_PATH: join(__dirname, 'node_modules')
  })
}

test('asyncapi/server.ts serves its document, and what it describes', async (t) => {
  const address = await startViewer(t).address()
  const document = await (await fetch(`${address}/asyncapi.json`)).json()
  t.same(await faultsOf(document), [])
  const client = await connect(t, `${address.replace('http', 'ws')}/boards/red`)
  client.send('{"type":"line","from":{"x":0,"y":0},"to":{"x":1,"y":1}}')
  t.equal(await client.nextText(), '{"lines":1}')
})

browserTest('the page of asyncapi/server.ts shows the routes and their messages', async (t) => {
  const page = await openPage(t, await startViewer(t).address())
  for (const text of ['Boards', '/boards/{board}', 'Draws a line']) {
    await page.getByText(text).first().waitFor()
  }
})
