import { EventEmitter } from 'node:events'
import { test } from 'tap'
import { WebSocket } from 'ws'
import { connect } from '../helpers/client'
import { serve } from '../helpers/plugin'
import type { Teardown } from '../helpers/servers'

type Emit = (this: EventEmitter, event: string | symbol, ...args: unknown[]) => boolean

/** Replaces `emit` by one that answers nothing for messages. */
function replaceEmit (t: Teardown, prototype: { emit: Emit }): void {
  const original = prototype.emit
  const isOwn = Object.hasOwn(prototype, 'emit')
  t.teardown(() => {
    if (isOwn) prototype.emit = original
    else Reflect.deleteProperty(prototype, 'emit')
  })
  prototype.emit = function (event, ...args) {
    const hasListener = original.call(this, event, ...args)
    // The type of a replacement demands an answer, which JavaScript does not.
    return this instanceof WebSocket && event === 'message'
      ? undefined as unknown as boolean
      : hasListener
  }
}

for (const [name, prototype] of Object.entries({
  'of ws': WebSocket.prototype, 'of all emitters': EventEmitter.prototype
})) {
  test(`an emit ${name} that is replaced and answers nothing gives each text once`, async (t) => {
    replaceEmit(t, prototype)
    const { origin } = await serve(t, {
      plugin: {
        handle: (connection) => {
          connection.socket.on('message', (message) => {
            // After the message has been given.
            setImmediate(() => {
              connection.socket.send(`${message}, ${connection.readableLength} wait`)
            })
          })
        }
      }
    })
    const client = await connect(t, origin)
    for (const text of ['one', 'two']) {
      client.send(text)
      t.equal(await client.nextText(), `${text}, 0 wait`)
    }
  })
}
