// An application that describes its websocket routes: as JSON at `/asyncapi.json`, and as a page at
// `/`. The page is the viewer of the AsyncAPI project: `npm install` in this folder brings it.
import { readFileSync } from 'node:fs'
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import fastifyWebsocket from 'fastify-websocket'

const VIEWER = '@asyncapi/react-component'

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Messages</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/viewer.css">
<div id="asyncapi"></div>
<script src="/viewer.js"></script>
<script src="/page.js"></script>
`

const SCRIPT = `
AsyncApiStandalone.render({
  schema: { url: new URL('/asyncapi.json', window.location).href }
}, document.getElementById('asyncapi'))
`

const fastify = Fastify({ logger: { level: 'warn' } }).withTypeProvider<TypeBoxTypeProvider>()

fastify.register(fastifyWebsocket)

const Place = Type.Object({ x: Type.Integer(), y: Type.Integer() })

fastify.get('/boards/:board', {
  websocket: true,
  schema: {
    summary: 'A board on which all draw',
    params: Type.Object({ board: Type.String({ description: 'The name of the board' }) }),
    incoming: Type.Union([
      Type.Object({ type: Type.Literal('line'), from: Place, to: Place }, {
        description: 'Draws a line'
      }),
      Type.Object({ type: Type.Literal('clear') }, { description: 'Clears the board' })
    ]),
    outgoing: Type.Object({ lines: Type.Integer() }, { title: 'Count' })
  }
}, async (connection) => {
  let lines = 0
  for await (const message of connection) {
    lines = message.type === 'line' ? lines + 1 : 0
    connection.write({ lines })
  }
})

fastify.get('/asyncapi.json', async () => fastify.asyncapi({
  info: { title: 'Boards', version: '1.0.0' }
}))

const JAVASCRIPT = 'text/javascript; charset=utf-8'

const FILES = [
  { url: '/', type: 'text/html; charset=utf-8', body: PAGE },
  { url: '/page.js', type: JAVASCRIPT, body: SCRIPT },
  { url: '/viewer.js', type: JAVASCRIPT, body: read('browser/standalone/index.js') },
  { url: '/viewer.css', type: 'text/css; charset=utf-8', body: read('styles/default.min.css') }
]

for (const { url, type, body } of FILES) {
  fastify.get(url, async (request, reply) => reply.type(type).send(body))
}

fastify.listen({
  port: Number(process.env.PORT ?? 3000),
  host: process.env.HOST ?? '127.0.0.1'
}).then(
  (address) => { console.log(`Documents on ${address}`) },
  (error: Error) => {
    console.error(error.message)
    process.exitCode = 1
  }
)

/** A file of the viewer. */
function read (path: string): Buffer {
  return readFileSync(require.resolve(`${VIEWER}/${path}`))
}
