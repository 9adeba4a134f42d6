/**
 * The brokers side by side: CPU time of a process for each message that it publishes, of another for
 * each that it receives, and how many arrive in a second. Needs `redis-server` and `nats-server`.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { setTimeout as delay } from 'node:timers/promises'
import { Child } from '../../lib/ipc.js'
import { readCount, readOptions } from '../../lib/options.js'
import { formatTable } from '../../lib/table.js'

const options = readOptions('npm --prefix bench run brokers', {
  messages: { value: 'n', read: readCount, default: 50000, help: 'messages' },
  size: { value: 'bytes', read: readCount, default: 100, help: 'size of each' }
})

const MEMBER = fileURLToPath(new URL('member.js', import.meta.url))

const SERVERS = {
  redis: (port) => spawn('redis-server', ['--port', port, '--bind', '127.0.0.1', '--save', '']),
  nats: (port) => spawn('nats-server', ['-p', port, '-a', '127.0.0.1'])
}

const rows = []
for (const [name, server] of [['ioredis', 'redis'], ['node-redis', 'redis'], ['nats', 'nats']]) {
  rows.push([name, ...await measure(name, server)])
}
console.log(`${options.messages} messages of ${options.size} B on one topic.\n`)
console.log(formatTable([['client', 'µs published', 'µs received', 'messages a second'], ...rows]))

async function measure (name, serverName) {
  const port = await findPort()
  const server = SERVERS[serverName](String(port))
  const [publisher, receiver] = [new Child(MEMBER, null), new Child(MEMBER, null)]
  try {
    while (!await accepts(port)) await delay(20)
    for (const child of [publisher, receiver]) await child.ask('start', name, port)
    await receiver.ask('subscribe')
    const [cpu, { seconds, cpu: ofReceiver }] = await Promise.all([
      publisher.ask('publish', options.messages, options.size),
      receiver.ask('receive', options.messages)
    ])
    return [cpu.toFixed(1), ofReceiver.toFixed(1), Math.round(options.messages / seconds).toString()]
  } finally {
    publisher.kill()
    receiver.kill()
    server.kill()
    await once(server, 'exit')
  }
}

async function findPort () {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  return port
}

async function accepts (port) {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
