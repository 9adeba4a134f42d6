/**
 * The memory benchmark. A client sends as much as it can to a server whose handler does not keep
 * up. The memory of the server must stay within a bound that does not depend on the sent size.
 */

import { memoryGrowth } from '../lib/memory.js'
import { formatMebibytes, MEBIBYTE } from '../lib/numbers.js'
import { readCount, readOptions } from '../lib/options.js'
import { withPair } from '../lib/pair.js'
import { formatTable } from '../lib/table.js'
import { reportVerdict } from '../lib/verdict.js'

const BOUND = 64 * MEBIBYTE
const WARM_UP = 16 * MEBIBYTE

/** The handlers of server.js. */
const CASES = {
  'slow-reader': 'a reader of the stream that waits 1 ms after every 64 KiB',
  'awaits-for-ever': 'a handler whose promise stays pending',
  'never-reads': 'a handler that has returned and reads nothing'
}

const { size, message } = readOptions('npm --prefix bench run memory', {
  size: { value: 'MiB', read: readCount, default: 1024, help: 'size of all messages together' },
  message: { value: 'bytes', read: readCount, default: 16384, help: 'size of each message' }
})

const rows = [['', 'seconds', 'peak RSS', 'peak heap', 'RSS after', 'heap after']]
const problems = []
for (const [name, title] of Object.entries(CASES)) {
  const { seconds, growth } = await measureGrowth(name)
  rows.push([title, seconds.toFixed(1), ...formatGrowth(growth)])
  if (growth.peakRss < BOUND && growth.peakUsed < BOUND) continue
  problems.push(`the memory has grown too much with ${title}`)
}
console.log(`A client sends ${size} MiB in messages of ${message} bytes.`)
console.log("Growth of the server's memory in MiB. Heap includes external memory, where the")
console.log('content of Buffers is.\n')
console.log(formatTable(rows))
reportVerdict(problems, `every peak is below ${formatMebibytes(BOUND, 0)} MiB.`)

/** How much more memory the server has, at its peak and after a collection, than before. */
async function measureGrowth (name) {
  const total = size * MEBIBYTE
  return await withPair(import.meta.url, null, async (server, client) => {
    const port = await server.ask('start', name)
    await client.ask('send', port, Math.min(total, WARM_UP), message)
    const before = await server.ask('settle')
    const seconds = await client.ask('send', port, total, message)
    const peak = await server.ask('peak')
    const after = await server.ask('settle')
    return { seconds, growth: memoryGrowth(before, peak, after) }
  })
}

function formatGrowth ({ peakRss, peakUsed, rss, used }) {
  return [peakRss, peakUsed, rss, used].map((bytes) => formatMebibytes(bytes))
}
