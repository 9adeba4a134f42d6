// The MQTT broker of the examples, as its users run it, with mqtt.js clients.
import t, { test } from 'tap'
import { connect } from '../helpers/client'
import { connectMqtt, type MqttPeer } from './mqtt-peer'
import { startExample, type Program } from '../helpers/program'
import type { Teardown } from '../helpers/servers'

// Its clients are many, and it starts the broker three times.
t.setTimeout(120_000)

const CLIENTS = 1_000
const MEBIBYTE = 1024 * 1024

/** The longest message that the example takes. */
const MAX_PAYLOAD = MEBIBYTE + 64 * 1024

/** A CONNECT packet of MQTT 3.1.1: a clean session, 60 seconds between pings, no name. */
const CONNECT = Buffer.from('\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0', 'latin1')

interface Broker {
  readonly program: Program
  readonly tcp: string
  /** The `ws://` origin. */
  readonly ws: string
}

async function startBroker (t: Teardown, port = '0', mqttPort = '0'): Promise<Broker> {
  const program = startExample(t, 'mqtt/server.ts', port, { MQTT_PORT: mqttPort })
  const [tcp] = await program.until(/mqtt:\/\/[\d.:]+/)
  const [ws] = await program.until(/ws:\/\/[\d.:]+/)
  return { program, tcp, ws }
}

/** What all tests share that leave it as it is; the last one stops it. */
const shared = startBroker(t)

/** Both transports in both directions. */
function * directions ({ tcp, ws }: Broker): Generator<[name: string, from: string, to: string]> {
  yield ['from WebSocket to TCP', ws, tcp]
  yield ['from TCP to WebSocket', tcp, `${ws}/mqtt`]
  yield ['from WebSocket to WebSocket', `${ws}/any/path`, `${ws}/mqtt`]
}

test('messages of each quality of service cross from one transport to the other', async (t) => {
  const broker = await shared
  for (const [name, from, to] of directions(broker)) {
    const publisher = await connectMqtt(t, from)
    const subscriber = await connectMqtt(t, to)
    for (const qos of [0, 1, 2] as const) {
      await subscriber.client.subscribeAsync(`qos/${qos}`, { qos })
      await publisher.client.publishAsync(`qos/${qos}`, `level ${qos}`, { qos })
      t.same(await subscriber.next(), {
        topic: `qos/${qos}`, payload: Buffer.from(`level ${qos}`), qos, retain: false
      }, `${name}, QoS ${qos}`)
    }
  }
})

test('a hundred messages of one tick arrive in order', async (t) => {
  const broker = await shared
  for (const [name, from, to] of directions(broker)) {
    const publisher = await connectMqtt(t, from)
    const subscriber = await connectMqtt(t, to)
    await subscriber.client.subscribeAsync('many', { qos: 1 })
    const texts = Array.from({ length: 100 }, (_, index) => `message ${index}`)
    await Promise.all(texts.map((text) => publisher.client.publishAsync('many', text, { qos: 1 })))
    const received: string[] = []
    for (let count = 0; count < texts.length; count++) {
      received.push(String((await subscriber.next()).payload))
    }
    t.same(received, texts, name)
  }
})

test('a retained message waits for who subscribes later, on the other transport', async (t) => {
  const broker = await shared
  for (const [name, from, to] of directions(broker)) {
    const publisher = await connectMqtt(t, from)
    await publisher.client.publishAsync('state', name, { qos: 1, retain: true })
    const subscriber = await connectMqtt(t, to)
    await subscriber.client.subscribeAsync('state', { qos: 1 })
    t.same(await subscriber.next(), {
      topic: 'state', payload: Buffer.from(name), qos: 1, retain: true
    }, name)
  }
})

test('the will of a client is published when it is cut off, not when it leaves', async (t) => {
  const broker = await shared
  for (const [name, from, to] of directions(broker)) {
    const witness = await connectMqtt(t, to)
    await witness.client.subscribeAsync('wills/#', { qos: 1 })
    const will = { topic: 'wills/of', payload: Buffer.from(name), qos: 1 } as const

    const leaver = await connectMqtt(t, from, { will })
    await leaver.client.endAsync()
    await witness.client.publishAsync('wills/none', '', { qos: 1 })
    t.match(await witness.next(), { topic: 'wills/none' }, `${name}, leaving`)

    const victim = await connectMqtt(t, from, { will })
    await victim.cutOff()
    t.match(await witness.next(), will, `${name}, cut off`)
    witness.client.end(true)
  }
})

test('a thousand clients at once each get what is for all and what is for one', async (t) => {
  const { tcp, ws } = await shared
  const connecting = Array.from({ length: CLIENTS }, (_, index) => connectDevice(t, ws, index))
  const devices = await Promise.all(connecting)
  const publisher = await connectMqtt(t, tcp)

  await publisher.client.publishAsync('devices', 'to all', { qos: 1 })
  const common = await Promise.all(devices.map((device) => device.next()))
  t.equal(common.filter(({ payload }) => String(payload) === 'to all').length, CLIENTS)

  const numbers = [...devices.keys()]
  await Promise.all(numbers.map((index) => {
    return publisher.client.publishAsync(`devices/${index}`, `to ${index}`, { qos: 1 })
  }))
  const own = await Promise.all(devices.map((device) => device.next()))
  t.same(own.map(({ payload }) => String(payload)), numbers.map((index) => `to ${index}`))
})

async function connectDevice (t: Teardown, ws: string, index: number): Promise<MqttPeer> {
  const device = await connectMqtt(t, index % 2 === 0 ? ws : `${ws}/mqtt`)
  await device.client.subscribeAsync(['devices', `devices/${index}`], { qos: 1 })
  return device
}

test('a payload of 1 MiB crosses from one transport to the other', async (t) => {
  const broker = await shared
  const payload = Buffer.alloc(MEBIBYTE, 'payload ')
  for (const [name, from, to] of directions(broker)) {
    const publisher = await connectMqtt(t, from)
    const subscriber = await connectMqtt(t, to)
    await subscriber.client.subscribeAsync('large', { qos: 1 })
    await publisher.client.publishAsync('large', payload, { qos: 1 })
    const received = await subscriber.next()
    t.ok(received.payload.equals(payload), name)
  }
})

test('a payload of 1 MiB may come in one message with the rest of its packet', async (t) => {
  const { ws } = await shared
  const subscriber = await connectMqtt(t, ws)
  await subscriber.client.subscribeAsync('whole')
  const payload = Buffer.alloc(MEBIBYTE, 'payload ')
  // As browsers send it; mqtt.js in Node.js makes two or three messages of a packet.
  const client = await connect(t, ws, {}, ['mqtt'])
  client.send(CONNECT)
  await client.next()
  const topic = Buffer.from('\0\x05whole')
  const length = topic.length + payload.length
  // Seven bits to a byte, the lowest first (MQTT 3.1.1 section 2.2.3).
  const head = [0x30, length & 0x7f | 0x80, length >> 7 & 0x7f | 0x80, length >> 14]
  client.send(Buffer.concat([Buffer.from(head), topic, payload]))
  t.ok((await subscriber.next()).payload.equals(payload))
})

test('a WebSocket message over the limit ends its connection alone', async (t) => {
  const { ws } = await shared
  const client = await connect(t, ws, {}, ['mqtt'])
  const witness = await connectMqtt(t, ws)
  client.send(Buffer.alloc(MAX_PAYLOAD + 1))
  t.match(await client.closed, { code: 1009 })
  await witness.client.subscribeAsync('still/here')
  await witness.client.publishAsync('still/here', 'yes')
  t.match(await witness.next(), { payload: Buffer.from('yes') })
})

test('bytes that are no MQTT end their connection alone', async (t) => {
  const { ws } = await shared
  const client = await connect(t, `${ws}/mqtt`, {}, ['mqtt'])
  client.send(Buffer.from('GET / HTTP/1.1\r\n\r\n'))
  t.match(await client.closed, { code: 1011 })
  const witness = await connectMqtt(t, ws)
  t.ok(witness.client.connected)
})

test('clients reconnect and subscribe again when the broker is back on its ports', async (t) => {
  let { program, tcp, ws } = await startBroker(t)
  const subscriber = await connectMqtt(t, ws, { reconnectPeriod: 20 })
  await subscriber.client.subscribeAsync('news', { qos: 1 })

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const closed = subscriber.event('close')
    await program.kill(signal)
    await closed
    t.notOk(subscriber.client.connected, `${signal} disconnects`)

    const connected = subscriber.event('connect')
    program = (await startBroker(t, new URL(ws).port, new URL(tcp).port)).program
    await connected
    // Its SUBSCRIBE goes out with the connection, and this is behind it.
    await subscriber.client.subscribeAsync('last', { qos: 1 })
    const publisher = await connectMqtt(t, tcp)
    await publisher.client.publishAsync('news', signal, { qos: 1 })
    t.match(await subscriber.next(), { topic: 'news', payload: Buffer.from(signal) })
  }
})

test('the subprotocol must be mqtt, and is told to the client', async (t) => {
  const { ws } = await shared
  for (const url of [ws, `${ws}/mqtt`]) {
    const client = await connect(t, url, {}, ['other', 'mqtt'])
    t.equal(client.socket.protocol, 'mqtt')

    const silent = await connect(t, url)
    t.same(await silent.closed, { code: 1002, reason: 'speak mqtt' })
    await t.rejects(connect(t, url, {}, ['other']), { message: 'Server sent no subprotocol' })
  }
})

test('the broker ends when it is stopped, with clients, and only logs besides', async (t) => {
  const { program, tcp, ws } = await shared
  const peers = [await connectMqtt(t, tcp), await connectMqtt(t, ws)]
  const closed = Promise.all(peers.map((peer) => peer.event('close')))
  const client = await connect(t, ws, {}, ['mqtt'])
  const { code, output } = await program.kill('SIGTERM')
  await closed
  t.match(await client.closed, { code: 1001 })
  t.equal(code, 0)
  // An earlier test has sent what is no MQTT, which is in the log.
  const said = output.split('\n').filter((line) => !line.startsWith('{'))
  t.strictSame(said, [`MQTT over TCP on ${tcp}`, `MQTT over WebSockets on ${ws}/mqtt`, ''])
})
