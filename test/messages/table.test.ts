// Each kind of message, for each compiler, over real sockets.
import { test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { connect, ping, type Client } from '../helpers/client'
import { serve } from '../helpers/plugin'
import { record, turn } from '../helpers/streams'
import { COMPILERS, type Compiler, type Outcome } from './compilers'

interface Case {
  readonly title: string
  send (client: Client): void
  outcome (compiler: Compiler): Outcome
  reason? (compiler: Compiler): string
}

const sendText = (text: string) => (client: Client): void => { client.send(text) }

const CASES: readonly Case[] = [
  { title: 'a valid message', send: sendText('{"n":1,"d":"y"}'), outcome: () => '{"n":1,"d":"y"}' },
  { title: 'a message to coerce', send: sendText('{"n":"5"}'), outcome: ({ coerced }) => coerced },
  {
    title: 'a message without its default',
    send: sendText('{"n":1}'),
    outcome: ({ defaulted }) => defaulted
  },
  {
    title: 'an invalid message',
    send: sendText('{"n":"x"}'),
    outcome: () => 1008,
    reason: ({ reason }) => reason
  },
  {
    title: 'a message that is no JSON',
    send: sendText('{"n":1'),
    outcome: () => 1007,
    reason: () => 'message is not valid JSON'
  },
  {
    title: 'an empty message',
    send: sendText(''),
    outcome: () => 1007,
    reason: () => 'message is not valid JSON'
  },
  {
    title: 'a binary message',
    send: (client) => { client.send(Buffer.from('{"n":1}')) },
    outcome: () => 1003,
    reason: () => 'message must be text'
  },
  { title: 'null', send: sendText('null'), outcome: () => 1008 },
  {
    title: 'a message with __proto__',
    send: sendText('{"n":1,"__proto__":{"d":"y"}}'),
    outcome: () => 1008,
    reason: () => 'message has a forbidden key'
  },
  {
    title: 'a message with a prototype in its constructor',
    send: sendText('{"n":1,"constructor":{"prototype":{}}}'),
    outcome: () => 1008,
    reason: () => 'message has a forbidden key'
  },
  {
    title: 'a message in fragments',
    send: ({ socket }) => {
      socket.send('{"n":1,', { fin: false })
      socket.send('"d":', { fin: false })
      socket.send('"y"}')
    },
    outcome: () => '{"n":1,"d":"y"}'
  }
]

/** Declares an echo, and one that begins to read when the event `read` comes. */
function declareEchoes (
  scope: FastifyInstance, { use, schemas }: Compiler, gate: Promise<void>
): void {
  use(scope)
  const schema = { ...schemas }
  scope.get('/echo', { websocket: true, schema }, (connection) => { connection.pipe(connection) })
  scope.get('/late', { websocket: true, schema }, async (connection) => {
    await gate
    for await (const message of connection) connection.write(message)
  })
}

for (const compiler of COMPILERS) {
  for (const { title, send, outcome, reason } of CASES) {
    const expected = outcome(compiler)
    test(`${compiler.name}: ${title} gives ${expected}`, async (t) => {
      const { origin } = await serve(t, {
        declare: (fastify) => { declareEchoes(fastify, compiler, Promise.resolve()) }
      })
      const client = await connect(t, `${origin}/echo`)
      send(client)
      if (typeof expected === 'string') {
        const { text, isBinary } = await client.next()
        t.same([text, isBinary], [expected, false])
        return
      }
      const closed = await client.closed
      t.equal(closed.code, expected)
      t.ok(closed.reason.startsWith(reason?.(compiler) ?? 'message'), closed.reason)
      t.same(client.unread, [], 'nothing was delivered')
    })
  }

  test(`${compiler.name}: messages that come before the handler reads are delivered`, async (t) => {
    let open = (): void => {}
    const gate = new Promise<void>((resolve) => { open = resolve })
    const { origin } = await serve(t, {
      declare: (fastify) => { declareEchoes(fastify, compiler, gate) }
    })
    const client = await connect(t, `${origin}/late`)
    client.send('{"n":1,"d":"a"}')
    client.send('{"n":2,"d":"b"}')
    await ping(client)
    await turn()
    t.same(client.unread, [])
    open()
    t.equal(await client.nextText(), '{"n":1,"d":"a"}')
    t.equal(await client.nextText(), '{"n":2,"d":"b"}')
  })

  test(`${compiler.name}: an invalid message that waited is not delivered`, async (t) => {
    let open = (): void => {}
    const gate = new Promise<void>((resolve) => { open = resolve })
    const { origin } = await serve(t, {
      declare: (fastify) => { declareEchoes(fastify, compiler, gate) }
    })
    const client = await connect(t, `${origin}/late`)
    const closes = record(client.socket, 'close')
    client.send('{"n":"x"}')
    await ping(client)
    t.same(closes, [], 'it is validated when it is read')
    open()
    t.match(await client.closed, { code: 1008 })
  })
}
