/**
 * The broadcast benchmark. A server sends the same messages to many clients, and some of the
 * clients are stalled: they never read. With `maxBackpressure` the server must cut off exactly
 * these clients and keep its memory within a bound. Without a limit the memory must grow beyond
 * that bound, or the benchmark proves nothing.
 */

import { memoryGrowth } from '../lib/memory.js'
import { formatMebibytes, MEBIBYTE } from '../lib/numbers.js'
import { readCount, readOptions } from '../lib/options.js'
import { withPair } from '../lib/pair.js'
import { formatTable } from '../lib/table.js'
import { reportVerdict } from '../lib/verdict.js'

/** How much the heap may grow for other reasons than unsent messages. */
const SLACK = 8 * MEBIBYTE

const options = readOptions('npm --prefix bench run broadcast', {
  clients: { value: 'n', read: readCount, default: 1000, help: 'all clients' },
  stalled: { value: 'n', read: readCount, default: 10, help: 'clients that never read' },
  size: { value: 'MiB', read: readCount, default: 16, help: 'size of all messages to one client' },
  message: { value: 'bytes', read: readCount, default: 16384, help: 'size of each message' },
  limit: { value: 'MiB', read: readCount, default: 1, help: 'maxBackpressure' }
})
const { clients, stalled, size, message } = options
const limit = options.limit * MEBIBYTE
const bound = stalled * limit + SLACK

const results = {
  'without a limit': await measureGrowth({}),
  'of the plugin': await measureGrowth({ maxBackpressure: limit }),
  'of the route': await measureGrowth({ websocket: { maxBackpressure: limit } })
}
const rows = Object.entries(results).map(([name, result]) => formatResult(name, result))
console.log(`${clients} clients are sent ${size} MiB in messages of ${message} characters;`)
console.log(`${stalled} of the clients never read.`)
console.log(`Growth of the server's memory in MiB, with maxBackpressure of ${options.limit} MiB.`)
console.log('Heap includes external memory, and is read after collections.\n')
console.log(formatTable([
  ['maxBackpressure', 'seconds', 'peak RSS', 'peak heap', 'heap after', 'cut off'], ...rows
]))
const passed = `with a limit the peak is below ${formatMebibytes(bound, 0)} MiB.`
reportVerdict(findProblems(results), passed)

/** How much more memory the server has, at its peak and at the end, than with idle clients. */
async function measureGrowth (serverOptions) {
  return await withPair(import.meta.url, null, async (server, client) => {
    const port = await server.ask('start', serverOptions)
    await client.ask('open', port, clients, stalled)
    const before = await server.ask('settle')
    const messages = Math.ceil(size * MEBIBYTE / message)
    const seconds = await server.ask('broadcast', messages, message)
    const peak = await server.ask('peak')
    const cutOff = clients - await server.ask('countOpen')
    await client.ask('check', messages * message)
    const after = await server.ask('settle')
    return { seconds, growth: memoryGrowth(before, peak, after), cutOff }
  })
}

function formatResult (name, { seconds, growth: { peakRss, peakUsed, used }, cutOff }) {
  const sizes = [peakRss, peakUsed, used].map((bytes) => formatMebibytes(bytes))
  return [name, seconds.toFixed(1), ...sizes, String(cutOff)]
}

function findProblems ({ 'without a limit': without, ...limited }) {
  const problems = []
  if (without.growth.peakUsed < bound) problems.push('too little was sent: no limit was needed')
  for (const [name, { growth, cutOff }] of Object.entries(limited)) {
    if (growth.peakUsed >= bound) {
      problems.push(`the memory has grown too much with the limit ${name}`)
    }
    if (cutOff !== stalled) problems.push(`${cutOff} clients were cut off by the limit ${name}`)
  }
  return problems
}
