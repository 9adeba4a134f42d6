/**
 * The benchmark of topics: CPU time of the server for each delivered message, with `publish`, with
 * our own loop of `send`, and with ws's. The figures are the best of several rounds, because other
 * programs can only make them worse.
 */

import { readCount, readOptions } from '../../lib/options.js'
import { withPair } from '../../lib/pair.js'
import { formatTable } from '../../lib/table.js'
import { reportVerdict } from '../../lib/verdict.js'

const options = readOptions('npm --prefix bench run topics', {
  clients: { value: 'n', read: readCount, default: 1000, help: 'clients' },
  rounds: { value: 'n', read: readCount, default: 200, help: 'ticks in which messages are sent' },
  repeats: { value: 'n', read: readCount, default: 5, help: 'measurements, of which the best counts' }
})

const WAYS = ['publish', 'loop', 'ws']

/** What is sent, and the most that `publish` may take of our loop and of that of ws. */
const CASES = [
  { burst: 1, length: 100, isCompressed: false, ofLoop: 0.95, ofWs: 0.95 },
  { burst: 5, length: 100, isCompressed: false, ofLoop: 0.75, ofWs: 0.25 },
  { burst: 1, length: 1000, isCompressed: false },
  { burst: 5, length: 1000, isCompressed: false, ofLoop: 0.55, ofWs: 0.22 },
  { burst: 1, length: 2000, isCompressed: true },
  { burst: 5, length: 2000, isCompressed: true }
]

const rows = []
const problems = []
for (const { burst, length, isCompressed, ofLoop = Infinity, ofWs = Infinity } of CASES) {
  const [publish, loop, ws] = await measureAll(burst, length, isCompressed)
  const title = `${length} B, ${burst} a tick${isCompressed ? ', compressed' : ''}`
  const ratios = [publish / loop, publish / ws]
  rows.push([title, ...[publish, loop, ws, ...ratios].map((value) => value.toFixed(2))])
  if (ratios[0] > ofLoop) problems.push(`${title}: ${ratios[0].toFixed(2)} of our loop`)
  if (ratios[1] > ofWs) problems.push(`${title}: ${ratios[1].toFixed(2)} of ws`)
}

console.log(`${options.clients} clients; microseconds of CPU time for each delivered message.\n`)
console.log(formatTable([
  ['messages', 'publish', 'our loop', 'ws', 'of our loop', 'of ws'], ...rows
]))
reportVerdict(problems, 'publish takes no more than its part of a loop.')

/** The ways take turns, so that a busy moment of the machine is not that of one of them. */
async function measureAll (burst, length, isCompressed) {
  const best = WAYS.map(() => Infinity)
  for (let repeat = 0; repeat < options.repeats; repeat++) {
    for (const [i, way] of WAYS.entries()) {
      best[i] = Math.min(best[i], await measure(way, burst, length, isCompressed))
    }
  }
  return best
}

function measure (way, burst, length, isCompressed) {
  return withPair(import.meta.url, null, async (server, client) => {
    const { clients, rounds } = options
    const port = await server.ask('start', way, isCompressed)
    await client.ask('open', port, clients, isCompressed)
    const ticks = Math.max(1, Math.round(rounds / burst / (isCompressed ? 10 : 1)))
    await server.ask('broadcast', way, Math.ceil(ticks / 4), burst, length)
    return await server.ask('broadcast', way, ticks, burst, length)
  })
}
