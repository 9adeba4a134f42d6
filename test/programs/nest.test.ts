// NestJS 11 on Fastify, with the gateways of its `platform-ws` beside routes of this plugin. It is
// the recipe of docs/plugins.md. Nest's decorators are called as functions, because the compiler
// of this project has them switched off.
import 'reflect-metadata'
import { Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify'
import { WsAdapter } from '@nestjs/platform-ws'
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets'
import type { FastifyInstance } from 'fastify'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { test, type Test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { connect } from '../helpers/client'
import { Document } from '../helpers/documents'
import { echo } from '../helpers/plugin'

const GATEWAY = '/gateway'

class Gateway {
  shout (_client: unknown, text: string): object {
    return { event: 'shout', data: text.toUpperCase() }
  }
}

WebSocketGateway({ path: GATEWAY })(Gateway)
SubscribeMessage('shout')(
  Gateway.prototype, 'shout', Object(Object.getOwnPropertyDescriptor(Gateway.prototype, 'shout')))

class AppModule {}
Module({ providers: [Gateway] })(AppModule)

async function serveNest (t: Test): Promise<string> {
  const adapter = new FastifyAdapter()
  // Nest has a copy of Fastify of its own, whose types are others than those of the project.
  const fastify: FastifyInstance = Object(adapter.getInstance())
  fastify.register(fastifyWebsocket)
  fastify.get('/echo', { websocket: true }, echo)
  const options = { logger: false } as const
  const app = await NestFactory.create<NestFastifyApplication>(AppModule, adapter, options)
  t.teardown(() => app.close())

  // Nest destroys each upgrade that is not for one of its gateways. So it listens on a server that
  // gets only the upgrades for these.
  const gateways = createServer()
  app.useWebSocketAdapter(new WsAdapter(gateways))
  app.getHttpServer().on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (request.url === GATEWAY) gateways.emit('upgrade', request, socket, head)
  })
  await app.listen(0, '127.0.0.1')
  return (await app.getUrl()).replace('http', 'ws')
}

test('the page on plugins has the lines that run here', async (t) => {
  const { text } = new Document('docs/plugins.md')
  const source = readFileSync(__filename, 'utf8')
  const [recipe = ''] = /^ {2}const gateways.*?^ {2}\}\)\n/ms.exec(source) ?? []
  t.match(text, recipe.replace(/^ {2}/gm, ''))
  t.not(recipe, '')
})

test('gateways of Nest and routes of the plugin share a server', async (t) => {
  const origin = await serveNest(t)
  const gateway = await connect(t, origin + GATEWAY)
  gateway.send(JSON.stringify({ event: 'shout', data: 'hello' }))
  t.strictSame(JSON.parse(await gateway.nextText()), { event: 'shout', data: 'HELLO' })
  const client = await connect(t, `${origin}/echo`)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
})
