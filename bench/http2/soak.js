/**
 * The soak of HTTP/2: streams come and go on sessions, each with a message and one of several ends.
 * The memory of the server after a warm-up is compared with its memory after the last round: a
 * difference is a leak.
 */

import { formatMebibytes } from '../lib/numbers.js'
import { readCount, readOptions } from '../lib/options.js'
import { withPair } from '../lib/pair.js'
import { formatTable } from '../lib/table.js'
import { reportVerdict } from '../lib/verdict.js'

/** Part of the heap after the warm-up by which the heap at the end may be larger. */
const TOLERANCE = 0.05

/** Streams of a round. */
const ROUND = 10_000

const { streams, concurrency } = readOptions('npm --prefix bench run soak:http2', {
  streams: { value: 'n', read: readCount, default: 100_000, help: 'streams after the warm-up' },
  concurrency: { value: 'n', read: readCount, default: 50, help: 'streams at the same time' }
})

await withPair(import.meta.url, null, async (server, client) => {
  const port = await server.ask('start', true, null)
  await client.ask('soak', port, ROUND, concurrency)
  const states = [await server.ask('settle', 0)]
  for (let done = 0; done < streams; done += ROUND) {
    await client.ask('soak', port, Math.min(ROUND, streams - done), concurrency)
    states.push(await server.ask('settle', 0))
  }
  report(states[0], states.at(-1), states)
})

function report (before, after, states) {
  const sizes = (state) => ['heap', 'external', 'rss'].map((name) => formatMebibytes(state[name], 2))
  console.log(formatTable([
    ['MiB, after a collection', 'heap', 'external', 'RSS'],
    ['after the warm-up', ...sizes(before)],
    [`after ${streams.toLocaleString('en-US')} streams`, ...sizes(after)]
  ]))
  const heaps = states.map(({ heap }) => formatMebibytes(heap, 2))
  console.log(`\nHeap after the warm-up and each ${ROUND.toLocaleString('en-US')}: ${heaps.join(', ')}`)
  const problems = after.heap > before.heap * (1 + TOLERANCE) ? ['the heap has grown'] : []
  reportVerdict(problems, `nothing is left, and the heap is within ${TOLERANCE * 100} %.`)
}
