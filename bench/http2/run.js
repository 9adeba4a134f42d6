/**
 * The benchmark of HTTP/2: what a message and an idle connection cost the server over each version
 * of HTTP, with and without TLS. The figures are the best of several rounds, because other programs
 * can only make them worse.
 */

import { findCores } from '../lib/cores.js'
import { formatNumber } from '../lib/numbers.js'
import { readCount, readOptions } from '../lib/options.js'
import { withPair } from '../lib/pair.js'
import { formatTable } from '../lib/table.js'
import { createCertificate } from './certificate.js'

const options = readOptions('npm --prefix bench run http2', {
  connections: { value: 'n', read: readCount, default: 16, help: 'connections' },
  flight: { value: 'n', read: readCount, default: 16, help: 'unanswered messages of each' },
  size: { value: 'bytes', read: readCount, default: 32, help: 'size of a message' },
  messages: { value: 'n', read: readCount, default: 200_000, help: 'messages of a round' },
  idle: { value: 'n', read: readCount, default: 1000, help: 'idle connections' },
  repeats: { value: 'n', read: readCount, default: 3, help: 'rounds, of which the best counts' }
})

const tls = createCertificate()

const WAYS = [
  ['HTTP/1', { isHttp2: false, isShared: false, tls: null }],
  ['HTTP/2, a session each', { isHttp2: true, isShared: false, tls: null }],
  ['HTTP/2, one session', { isHttp2: true, isShared: true, tls: null }],
  ['HTTP/1, TLS', { isHttp2: false, isShared: false, tls }],
  ['HTTP/2, TLS, a session each', { isHttp2: true, isShared: false, tls }],
  ['HTTP/2, TLS, one session', { isHttp2: true, isShared: true, tls }]
]

const cores = findCores()
const best = WAYS.map(() => ({ cpu: Infinity, heap: Infinity }))
for (let repeat = 0; repeat < options.repeats; repeat++) {
  // The ways take turns, so that a busy moment of the machine is not that of one of them.
  for (const [i, [, way]] of WAYS.entries()) {
    const { cpu, heap } = await measure(way)
    best[i] = { cpu: Math.min(best[i].cpu, cpu), heap: Math.min(best[i].heap, heap) }
  }
}

const rows = WAYS.map(([name, { tls }], i) => {
  const { cpu, heap } = best[i]
  const ofHttp1 = cpu / best[tls === null ? 0 : 3].cpu
  return [name, formatNumber(cpu), formatNumber(ofHttp1), formatNumber(heap / 1000)]
})
console.log(`${options.connections} connections × ${options.flight} in flight, ` +
  `${options.size} bytes; ${options.idle} idle connections.\n`)
console.log(formatTable([
  ['', 'µs of CPU per message', 'of HTTP/1', 'kB per idle connection'], ...rows
]))

function measure (way) {
  return withPair(import.meta.url, cores, async (server, client) => {
    const { connections, flight, size, messages, idle } = options
    const port = await server.ask('start', way.isHttp2, way.tls)
    await client.ask('open', port, way, connections)
    await client.ask('run', messages / 4, flight, size)
    const before = await server.ask('cpu')
    await client.ask('run', messages, flight, size)
    const cpu = (await server.ask('cpu') - before) / messages
    await client.ask('close')
    const { used } = await server.ask('settle', 0)
    await client.ask('open', port, way, idle)
    const heap = ((await server.ask('settle', idle)).used - used) / idle
    return { cpu, heap }
  })
}
