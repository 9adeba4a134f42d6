// Hocuspocus 3, which takes the connections of `fastify.websocketServer`, with its own provider.
import { test, type Test } from 'tap'
import { WebSocket } from 'ws'
import { compatible } from '../../../src/index'
import { serveCompatible } from './serve'

/** The document of a client. */
async function openDocument (t: Test, url: string) {
  const { HocuspocusProvider, HocuspocusProviderWebsocket } = await import('@hocuspocus/provider')
  const { Doc } = await import('yjs')
  const document = new Doc()
  const websocketProvider = new HocuspocusProviderWebsocket({ url, WebSocketPolyfill: WebSocket })
  const provider = new HocuspocusProvider({ websocketProvider, name: 'notes', document })
  provider.attach()
  t.teardown(() => {
    provider.destroy()
    websocketProvider.destroy()
  })
  return document
}

test('a change of one document reaches the other', async (t) => {
  const { Hocuspocus } = await import('@hocuspocus/server')
  const hocuspocus = new Hocuspocus({ quiet: true })
  const { fastify, origin } = await serveCompatible(t, async (fastify) => {
    fastify.get('/collaboration', { websocket: true }, compatible(() => {}))
    await fastify.after()
    fastify.websocketServer.on('connection', (socket, request) => {
      hocuspocus.handleConnection(socket, request)
    })
  })
  const one = await openDocument(t, `${origin}/collaboration`)
  const other = await openDocument(t, `${origin}/collaboration`)
  const changed = new Promise((resolve) => { other.once('update', resolve) })
  one.getText('body').insert(0, 'hello')
  await changed
  t.equal(other.getText('body').toString(), 'hello')
  t.equal(fastify.websocketServer.clients.size, 2)
})
