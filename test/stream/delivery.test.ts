import { test } from 'tap'
import { WebSocket } from 'ws'
import { connect } from '../helpers/client'
import { serve } from '../helpers/plugin'

test('an emit of ws that is replaced by one without an answer gives each text once', async (t) => {
  const original = WebSocket.prototype.emit
  t.teardown(() => { WebSocket.prototype.emit = original })
  // The type of a replacement demands an answer, which JavaScript does not.
  WebSocket.prototype.emit = function (...args: Parameters<typeof original>): boolean {
    original.apply(this, args)
    return undefined as unknown as boolean
  }
  const { origin } = await serve(t, {
    plugin: {
      handle: (connection) => {
        connection.socket.on('message', () => {
          // After the message has been given.
          setImmediate(() => { connection.socket.send(`${connection.readableLength} wait`) })
        })
      }
    }
  })
  const client = await connect(t, origin)
  for (const text of ['one', 'two']) {
    client.send(text)
    t.equal(await client.nextText(), '0 wait', text)
  }
})
