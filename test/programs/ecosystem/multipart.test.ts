import multipart from '@fastify/multipart'
import { test } from 'tap'
import fastifyWebsocket from '../../../src/index'
import { connect } from '../../helpers/client'
import { echo } from '../../helpers/plugin'
import { RawClient, upgradeHead } from '../../helpers/raw'
import { createFastify, listen, portOf } from '../../helpers/servers'
import { watchProcess } from '../../helpers/uncaught'

const TYPE = { 'Content-Type': 'multipart/form-data; boundary=end' }
const BODY = '--end\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--end--\r\n'

for (const attachFieldsToBody of [false, true, 'keyValues'] as const) {
  test(`uploads work beside upgrades, with attachFieldsToBody: ${attachFieldsToBody}`,
    async (t) => {
      const uncaught = watchProcess(t)
      const fastify = createFastify(t)
      fastify.register(fastifyWebsocket)
      fastify.register(multipart, { attachFieldsToBody })
      fastify.get('/ws', { websocket: true }, echo)
      fastify.post('/upload', async (request) => {
        if (attachFieldsToBody !== false) return Object.keys(Object(request.body))
        const names: string[] = []
        for await (const part of request.parts()) {
          names.push(part.fieldname)
          if (part.type === 'file') await part.toBuffer()
        }
        return names
      })
      const origin = await listen(fastify)

      const client = await connect(t, `${origin}/ws`, { headers: TYPE })
      client.send('hello')
      t.equal(await client.nextText(), 'hello')
      const form = new FormData()
      form.append('file', new Blob(['content']), 'name.txt')
      form.append('note', 'text')
      const upload = `${origin.replace('ws', 'http')}/upload`
      const answer = await fetch(upload, { method: 'POST', body: form })
      t.strictSame(await answer.json(), ['file', 'note'])

      const raw = new RawClient(t, portOf(fastify.server))
      const length = String(BODY.length)
      raw.write(upgradeHead('/ws', { ...TYPE, 'Content-Length': length }) + BODY)
      await raw.closed
      t.match(raw.received.toString(), /^HTTP\/1.1 400 /)
      await fastify.close()
      t.strictSame(uncaught, [])
    })
}
