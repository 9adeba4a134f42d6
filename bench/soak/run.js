/**
 * The soak. Connections come and go in every way of ends.js, first for a warm-up and then in
 * rounds. The state of the server after the warm-up (memory, clients, resources, listeners) is
 * compared with its state after the last round: a difference is a leak.
 */

import { isDeepStrictEqual } from 'node:util'
import { formatMebibytes, formatNumber } from '../lib/numbers.js'
import { readCount, readOptions, readPositive } from '../lib/options.js'
import { withPair } from '../lib/pair.js'
import { formatTable } from '../lib/table.js'
import { reportVerdict } from '../lib/verdict.js'

/** Part of the memory after the warm-up by which the memory at the end may be larger. */
const TOLERANCE = 0.05

/** The state of the server is read after each round. */
const ROUND_SECONDS = 30
const WARM_UP_SECONDS = 60

const { minutes, connections } = readOptions('npm --prefix bench run soak', {
  minutes: { value: 'n', read: readPositive, default: 3, help: 'duration after the warm-up' },
  connections: { value: 'n', read: readCount, default: 50, help: 'connections at the same time' }
})

await withPair(import.meta.url, null, async (server, client) => {
  const seconds = minutes * 60
  const port = await server.ask('start')
  await client.ask('run', port, Math.min(WARM_UP_SECONDS, seconds), connections)
  const before = await server.ask('settle')
  const { counts, states } = await soak(server, client, port, seconds)
  report(counts, before, states)
})

/** How many connections ended in each way, and the states of the server after the rounds. */
async function soak (server, client, port, seconds) {
  const counts = {}
  const states = []
  const end = performance.now() + seconds * 1000
  while (performance.now() < end) {
    const left = (end - performance.now()) / 1000
    const round = await client.ask('run', port, Math.min(ROUND_SECONDS, left), connections)
    for (const [name, count] of Object.entries(round)) counts[name] = (counts[name] ?? 0) + count
    states.push(await server.ask('settle'))
  }
  return { counts, states }
}

function report (counts, before, states) {
  const after = states.at(-1)
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0)
  const rows = Object.entries(counts).map(([name, count]) => [name, count.toLocaleString('en-US')])
  console.log(formatTable([['what ends a connection', 'connections'], ...rows]))
  console.log(`\n${total.toLocaleString('en-US')} connections came and went.\n`)
  console.log(formatTable([
    ['after a collection', 'before', 'after', 'change'],
    formatMemory('heap, MiB', before.heap, after.heap),
    formatMemory('external, MiB', before.external, after.external),
    formatMemory('RSS, MiB', before.rss, after.rss),
    ['clients', String(before.clients), String(after.clients), ''],
    ['active resources', countAll(before.resources), countAll(after.resources), ''],
    ['listeners', countAll(before.listeners), countAll(after.listeners), '']
  ]))
  const heaps = [before, ...states].map(({ heap }) => formatMebibytes(heap, 2))
  console.log(`\nHeap after the warm-up and each round of ${ROUND_SECONDS} s: ${heaps.join(', ')}`)
  const passed = `nothing is left, and memory is within ${TOLERANCE * 100} %.`
  reportVerdict(findProblems(before, after), passed)
}

function formatMemory (name, before, after) {
  const sizes = [before, after].map((bytes) => formatMebibytes(bytes, 2))
  const percent = formatNumber(Math.abs(after / before - 1) * 100)
  return [name, ...sizes, `${after < before ? '−' : '+'}${percent} %`]
}

function countAll (counts) {
  return String(Object.values(counts).reduce((sum, count) => sum + count, 0))
}

function findProblems (before, after) {
  const problems = []
  for (const name of ['heap', 'external']) {
    if (after[name] > before[name] * (1 + TOLERANCE)) problems.push(`the ${name} has grown`)
  }
  if (after.clients !== 0) problems.push(`${after.clients} clients are left`)
  for (const name of ['resources', 'listeners']) {
    if (isDeepStrictEqual(before[name], after[name])) continue
    const [was, is] = [before, after].map((state) => JSON.stringify(state[name]))
    problems.push(`other ${name} than before: ${was}, then ${is}`)
  }
  return problems
}
