import { test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { connect } from '../helpers/client'
import { echo, serve, settled } from '../helpers/plugin'
import { createFastify } from '../helpers/servers'
import { loadFastifyWebsocket, serveForeign } from './foreign'

test('@fastify/websocket on another instance of the process works beside ours', async (t) => {
  const ours = await serve(t, {
    declare: (fastify) => fastify.get('/echo', { websocket: true }, echo)
  })
  const foreign = await serveForeign(t)
  for (const path of ['/foreign', '/both']) {
    const client = await connect(t, foreign.origin + path)
    client.send('hello')
    t.equal(await client.nextText(), `${path} hello`)
  }
  t.equal((await foreign.fastify.inject('/both')).body, 'plain')
  t.equal((await foreign.fastify.inject('/foreign')).statusCode, 404)
  const client = await connect(t, `${ours.origin}/echo`)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
  await foreign.fastify.close()
  client.send('still here')
  t.equal(await client.nextText(), 'still here')
})

test('@fastify/websocket on the same instance is an error of Fastify', async (t) => {
  const fastify = createFastify(t)
  fastify.register(loadFastifyWebsocket())
  fastify.register(fastifyWebsocket)
  await t.rejects(settled(fastify.ready()), { code: 'FST_ERR_DEC_ALREADY_PRESENT' })
})
