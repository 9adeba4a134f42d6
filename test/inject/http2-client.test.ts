// The client's side of a WebSocket over HTTP/2.
import { once } from 'node:events'
import { connect } from 'node:http2'
import { test } from 'tap'
import { Http2ClientSocket } from '../../src/inject/http2-client'
import { H2C } from '../helpers/http2'
import { say, serve } from '../helpers/plugin'
import { upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'

for (const parts of [1, 2]) {
  test(`a head of ${parts} corked chunks waits for the settings of the server`, async (t) => {
    const { fastify } = await serve(t, { server: H2C, plugin: { handle: say('hello') } })
    const session = connect(`http://127.0.0.1:${portOf(fastify.server)}`)
    t.teardown(() => { session.destroy() })
    const { request } = session
    const offers: unknown[] = []
    session.request = (...args) => {
      offers.push(session.remoteSettings.enableConnectProtocol)
      return Reflect.apply(request, session, args)
    }
    const socket = new Http2ClientSocket(session, 'http')
    const head = upgradeHead('/')
    const half = Math.ceil(head.length / parts)
    socket.cork()
    for (let i = 0; i < head.length; i += half) socket.write(head.slice(i, i + half))
    socket.uncork()
    const [answer] = await once(socket, 'data')
    t.match(String(answer), /^HTTP\/1\.1 101 /)
    t.strictSame(offers, [true])
  })
}
