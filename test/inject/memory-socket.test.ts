import { once } from 'node:events'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { test } from 'tap'
import { MemorySocket } from '../../src/inject/memory-socket'
import { Program, ROOT } from '../helpers/program'
import type { Teardown } from '../helpers/servers'
import { until } from '../helpers/streams'
import { holdTimers } from '../helpers/timers'

function createPair (t: Teardown, address = '10.0.0.1', isSecure = false) {
  const pair = MemorySocket.pair(address, isSecure)
  t.teardown(() => { for (const socket of pair) socket.destroy() })
  return pair
}

test('each side reads what the other writes, in a later turn', async (t) => {
  const [client, server] = createPair(t)
  client.write('one ')
  client.cork()
  client.write('two ')
  client.write('three')
  client.uncork()
  t.equal(server.readableLength, 0)
  t.equal(client.bytesWritten, 13)
  server.setEncoding('utf8')
  const chunks: string[] = []
  server.on('data', (chunk) => { chunks.push(chunk) })
  client.end()
  await once(server, 'end')
  t.equal(chunks.join(''), 'one two three')
  t.equal(server.bytesRead, 13)
  t.equal(client.bytesWritten, 13)
  t.notOk(server.destroyed)
})

test('each side ends on its own', async (t) => {
  const [client, server] = createPair(t)
  client.end('question')
  t.equal(await readAll(server), 'question')
  t.ok(server.writable)
  server.end('answer')
  t.equal(await readAll(client), 'answer')
  await Promise.all([client, server].map(untilClosed))
  t.ok(client.destroyed)
})

/** Reads to the end, and leaves the stream alone then. */
async function readAll (socket: Duplex): Promise<string> {
  const chunks: string[] = []
  socket.on('data', (chunk) => { chunks.push(String(chunk)) })
  if (!socket.readableEnded) await once(socket, 'end')
  return chunks.join('')
}

async function untilClosed (socket: Duplex): Promise<void> {
  if (!socket.closed) await once(socket, 'close')
}

test('a writer feels that nobody reads, and goes on when somebody does', async (t) => {
  const [client, server] = createPair(t)
  const chunk = Buffer.alloc(10_000)
  let written = 0
  while (client.write(chunk)) written++
  t.ok(written > 5 && written < 20, `${written} chunks`)
  t.equal(client.bytesWritten, (written + 1) * chunk.length)
  let isDrained = false
  client.once('drain', () => { isDrained = true })
  // Absence: several turns.
  for (let i = 0; i < 5; i++) await new Promise((resolve) => { setImmediate(resolve) })
  t.notOk(isDrained)
  const drained = once(client, 'drain')
  server.resume()
  await drained
  client.end()
  await once(server, 'end')
  t.equal(server.bytesRead, client.bytesWritten)
})

test('after destroy the other side reads what was sent, then the end', async (t) => {
  const [client, server] = createPair(t)
  client.write('last words')
  client.destroy()
  t.equal(await readAll(server), 'last words')
  server.write('anybody?')
  const [error] = await once(server, 'error')
  t.match(error, { code: 'EPIPE' })
})

for (const [end, code] of [['server', 'ECONNRESET'], ['client', 'ECANCELED']] as const) {
  test(`a write that waits for room is told when the ${end} is destroyed`, async (t) => {
    const [client, server] = createPair(t)
    client.on('error', () => {})
    const written = new Promise((resolve) => { client.write(Buffer.alloc(100_000), resolve) })
    const sides = { client, server }
    sides[end].destroy()
    t.match(await written, { code, syscall: 'write' })
    await untilClosed(client)
    t.equal(server.bytesRead, 0)
    t.equal(client.bytesWritten, 0)
  })
}

test('destroySoon lets what was written arrive', async (t) => {
  const [client, server] = createPair(t)
  client.write('all of it')
  client.destroySoon()
  t.equal(await readAll(server), 'all of it')
  await untilClosed(client)
  t.ok(client.destroyed)
})

test('silence is a timeout, until there is none', async (t) => {
  const timers = holdTimers(t, 30)
  const [client, server] = createPair(t)
  let timeouts = 0
  const onTimeout = (): void => { timeouts++ }
  server.setTimeout(30, onTimeout)
  t.equal(server.timeout, 30)
  server.resume()
  // Traffic both ways puts it off.
  client.write('x')
  await until(() => server.bytesRead === 1)
  t.equal(timers.refreshes, 1)
  server.write('x')
  t.equal(timers.refreshes, 2)
  t.equal(timeouts, 0)
  timers.run()
  t.equal(timeouts, 1)
  server.setTimeout(30)
  server.setTimeout(0, onTimeout)
  t.equal(timers.size, 0)
  t.equal(server.timeout, 0)
  t.equal(server.listenerCount('timeout'), 0)
  server.setTimeout(30)
  const timeout = once(server, 'timeout')
  timers.run()
  await timeout
  t.equal(timeouts, 1)
  server.destroy()
  t.equal(server.setTimeout(1_000_000).timeout, 30, 'none on a socket that is gone')
})

test('it has what programs expect of a socket', (t) => {
  const [client, server] = createPair(t, '::1', true)
  t.equal(server.setNoDelay().setKeepAlive().ref().unref(), server)
  t.match(server, { remoteAddress: '::1', remoteFamily: 'IPv6', encrypted: true })
  t.match(client, { remoteAddress: '127.0.0.1', remoteFamily: 'IPv4', localAddress: '127.0.0.1' })
  t.notOk('encrypted' in client)
  t.end()
})

/** Runs a program that has a connected `client` and `server`, and waits for "open". */
async function runPair (t: Teardown, code: string): Promise<Program> {
  const file = JSON.stringify(join(ROOT, 'src', 'inject', 'memory-socket.ts'))
  const program = new Program(t, process.execPath, [
    '--import', 'tsx', '--input-type=commonjs', '--eval', `
      const { MemorySocket } = require(${file})
      const [client, server] = MemorySocket.pair('10.0.0.1', false)
      client.on('close', () => { console.log('closed') })
      server.resume().on('end', () => { server.end() })
      client.resume()
      // A signal does not keep a process alive.
      process.on('SIGUSR2', () => { client.end() })
      process.nextTick(() => { console.log('open') })
      ${code}`
  ])
  await program.until(/open/)
  return program
}

test('an open socket keeps the process alive, and a closed one does not', async (t) => {
  const program = await runPair(t, '')
  program.signal('SIGUSR2')
  t.match(await program.ended, { code: 0, output: 'open\nclosed\n' })
})

test('under fake timers an open socket keeps the process alive', async (t) => {
  const program = await runPair(t, `
    for (const name of ['setTimeout', 'setInterval', 'setImmediate']) globalThis[name] = () => {}`)
  program.signal('SIGUSR2')
  t.match(await program.ended, { code: 0, output: 'open\nclosed\n' })
})

for (const [what, code] of [
  ['unref()', 'client.unref(); server.unref()'],
  ['ref() twice and unref()', 'client.ref().ref().unref().unref(); server.unref()'],
  ['destroy() and ref()', 'client.destroy().ref(); server.destroy().ref()'],
  ['a half that has ended, and unref()', 'server.end(); server.unref()']
] as const) {
  test(`after ${what} it does not`, async (t) => {
    const program = await runPair(t, code)
    t.match(await program.ended, { code: 0 })
  })
}
