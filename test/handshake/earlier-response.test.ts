import { test } from 'tap'
import { CLOSE_TIMEOUT, closed, get, serveSlowly } from '../helpers/pipelined'
import { upgradeHead } from '../helpers/raw'
import { until } from '../helpers/streams'
import { holdTimers } from '../helpers/timers'

const LEAVING = ['end', 'resetAndDestroy'] as const

test('an upgrade waits for all earlier answers', async (t) => {
  const { begin, upgraded, answers } = await serveSlowly(t)
  const client = await begin()
  await upgraded(client, get('/slow') + get('/sync') + upgradeHead('/ws'))
  await until(() => answers.length === 1)
  answers[0]?.()
  await client.until('101 Switching')
  t.match(client.received.toString(), /slowHTTP\/1.1 200 [^]*syncHTTP\/1.1 101 /)
})

for (const packet of ['/slow', '/slow, /sync', '/sync, /slow']) {
  test(`beside another listener, an upgrade of a route waits for ${packet}`, async (t) => {
    const { begin, upgraded, answers } = await serveSlowly(t, { stranger: () => {} })
    const client = await begin()
    const requests = packet.split(', ').map(get)
    await upgraded(client, requests.join('') + upgradeHead('/ws'))
    await until(() => answers.length === 1)
    answers[0]?.()
    await client.until('101 Switching')
    t.match(client.received.toString(), /slow[^]*101/)
    client.socket.destroy()
  })

  test(`beside another listener, an upgrade of no route waits for ${packet}`, async (t) => {
    const timers = holdTimers(t, 10_000)
    const { begin, upgraded, answers } = await serveSlowly(t, { stranger: () => {} })
    const client = await begin()
    const requests = packet.split(', ').map(get)
    await upgraded(client, requests.join('') + upgradeHead('/nobody'))
    await until(() => answers.length === 1 && timers.size === 1)
    answers[0]?.()
    await client.until('slow')
    timers.run()
    await client.closed
    t.match(client.received.toString(), /slow[^]*404/)
  })
}

for (const path of ['/ws', '/nobody']) {
  for (const first of ['/sync', '/slow']) {
    test(`a reset behind ${first} and an upgrade of ${path} harms nobody`, async (t) => {
      const served = await serveSlowly(t, { stranger: () => {} })
      const { fastify, answers, begin, upgraded, connected, uncaught } = served
      for (let i = 0; i < 20; i++) {
        const client = await begin()
        const transport = await upgraded(client, get(first) + upgradeHead(path))
        client.socket.resetAndDestroy()
        await client.closed
        for (const answer of answers.splice(0)) answer()
        // Only a write tells of a reset while nobody reads, and closing writes.
        transport.write('.')
      }
      await fastify.close()
      await Promise.all(connected.map(closed))
      t.strictSame(uncaught, [])
    })
  }
}

for (const https of [false, true]) {
  const protocol = https ? 'TLS' : 'TCP'
  for (const stranger of [undefined, () => {}]) {
    const beside = stranger === undefined ? '' : ' beside another listener'
    for (const first of ['/slow', '/big']) {
      for (const leave of LEAVING) {
        test(`${protocol}: a client that leaves by ${leave} while its upgrade waits for ${first} ` +
          `is gone${beside}`, async (t) => {
          const served = await serveSlowly(t, { https, stranger })
          const { fastify, begin, upgraded, connected, uncaught } = served
          const client = await begin()
          if (first === '/big') client.socket.pause()
          await upgraded(client, get(first) + upgradeHead('/ws'))
          // TLS has no reset of its own.
          if (leave === 'resetAndDestroy' && https) client.socket.destroy()
          else client.socket[leave]()
          if (first === '/slow' && stranger === undefined) await Promise.all(connected.map(closed))
          await fastify.close()
          client.socket.resume()
          await Promise.all(connected.map(closed))
          t.equal(fastify.websocketServer.clients.size, 0)
          t.strictSame(uncaught, [])
        })
      }

      test(`${protocol}: close() ends while an upgrade waits for ${first}${beside}`, async (t) => {
        const { fastify, begin, upgraded, uncaught } = await serveSlowly(t, { https, stranger })
        const client = await begin()
        if (first === '/big') client.socket.pause()
        const transport = await upgraded(client, get(first) + upgradeHead('/ws'))
        await fastify.close()
        await closed(transport)
        t.strictSame(uncaught, [])
      })
    }
  }
}

for (const isOver of [false, true]) {
  const when = isOver ? 'after the deadline of' : 'during'
  test(`an upgrade that comes behind an unfinished answer ${when} close() ends`, async (t) => {
    const timers = holdTimers(t, CLOSE_TIMEOUT)
    const { fastify, begin, upgraded, answers, uncaught } = await serveSlowly(t)
    const client = await begin()
    client.write(get('/slow'))
    await until(() => answers.length === 1)
    const closed = fastify.close()
    await until(() => timers.size > 0)
    if (isOver) timers.run()
    const transport = await upgraded(client, upgradeHead('/ws'))
    if (!isOver) timers.run()
    await closed
    t.equal(transport.destroyed, true)
    t.strictSame(uncaught, [])
  })
}
