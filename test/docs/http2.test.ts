// The page on HTTP/2: its program runs and does what the page says.
import t, { test } from 'tap'
import { WebSocket } from 'ws'
import { Client } from '../helpers/client'
import { Document } from '../helpers/documents'
import { TRANSPORTS } from '../helpers/transports'

t.setTimeout(120_000)

test('the program of the page serves WebSockets over HTTP/2', async (t) => {
  await new Document('docs/http2.md').run(t, [{
    marker: "'/version'",
    async check (t, origin) {
      const client = new Client(new WebSocket(`${origin}/version`, {
        createConnection: () => TRANSPORTS.h2c.connect(Number(new URL(origin).port))
      }))
      t.equal(await client.nextText(), '2.0')
      client.socket.terminate()
    }
  }])
})
