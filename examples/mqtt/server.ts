// An MQTT broker, Aedes: over TCP for devices, and over WebSockets for browsers and for whoever is
// behind a proxy. It takes everybody as it stands; give Aedes an `authenticate` before others can
// reach it.
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { Aedes } from 'aedes'
import Fastify from 'fastify'
import fastifyWebsocket, { type WebsocketHandler } from 'fastify-websocket'

const CLOSE_PROTOCOL_ERROR = 1002

/**
 * MQTT clients send a packet as one message or as a few, so this is the longest payload that every
 * client can publish, and some room for the topic. The default of 1 MiB has room for less.
 */
const MAX_PAYLOAD = 1024 * 1024 + 64 * 1024

const host = process.env.HOST ?? '127.0.0.1'
const broker = await Aedes.createBroker()
const fastify = Fastify({ logger: { level: 'warn' } })

// A client takes a handshake without its subprotocol for a failure, so it must be `mqtt` or none.
const serveMqtt: WebsocketHandler = (connection, req) => {
  if (connection.socket.protocol === 'mqtt') broker.handle(connection, req)
  else connection.socket.close(CLOSE_PROTOCOL_ERROR, 'speak mqtt')
}

fastify.register(fastifyWebsocket, {
  // Clients differ in the path that they ask for: `/`, `/ws`, ...
  handle: serveMqtt,
  options: {
    handleProtocols: (protocols) => protocols.has('mqtt') ? 'mqtt' : false,
    maxPayload: MAX_PAYLOAD
  }
})

// ... and most for this one. As any route, it may have hooks of its own.
fastify.get('/mqtt', { websocket: true }, serveMqtt)

const tcp = createServer(broker.handle)
fastify.addHook('onClose', async () => {
  tcp.close()
  await new Promise<void>((resolve) => { broker.close(resolve) })
})

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => fastify.close())

await once(tcp.listen(Number(process.env.MQTT_PORT ?? 1883), host), 'listening')
// What a TCP server that listens on a port returns.
const { port } = tcp.address() as AddressInfo
console.log(`MQTT over TCP on mqtt://${host}:${port}`)

const address = await fastify.listen({ port: Number(process.env.PORT ?? 3000), host })
console.log(`MQTT over WebSockets on ${address.replace('http', 'ws')}/mqtt`)
