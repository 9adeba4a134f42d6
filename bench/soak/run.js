import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual, parseArgs } from 'node:util'
import { Child } from '../lib/ipc.js'
import { formatNumber, formatTable } from '../speed/table.js'

const SERVER = fileURLToPath(new URL('server.js', import.meta.url))
const CLIENT = fileURLToPath(new URL('client.js', import.meta.url))

const MEBIBYTE = 2 ** 20

/** Of the memory after the warm-up, how much more there may be at the end. */
const TOLERANCE = 0.05

/** After each round, memory is looked at. */
const ROUND_SECONDS = 30
const WARM_UP_SECONDS = 60

const USAGE = `npm --prefix bench run soak -- [options]

  --minutes <n>      how long connections come and go, after a warm-up (default: 3)
  --connections <n>  how many of them at a time (default: 50)
`

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '3' },
    connections: { type: 'string', default: '50' },
    help: { type: 'boolean', default: false }
  }
})

if (values.help) console.log(USAGE)
else await main(readNumber('minutes') * 60, readNumber('connections'))

function readNumber (name) {
  const number = Number(values[name])
  if (!(number > 0)) throw new Error(`--${name} is a number above 0`)
  return number
}

async function main (seconds, connections) {
  const server = new Child(SERVER, null, ['--expose-gc'])
  const client = new Child(CLIENT, null)
  try {
    const port = await server.ask('start')
    await client.ask('run', port, Math.min(WARM_UP_SECONDS, seconds), connections)
    const before = await server.ask('settle')
    const { counts, states } = await soak(server, client, port, seconds, connections)
    report(counts, before, states)
  } finally {
    server.kill()
    client.kill()
  }
}

/** How many connections ended in each way, and what was left after each round. */
async function soak (server, client, port, seconds, connections) {
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
  const heaps = [before, ...states].map(({ heap }) => (heap / MEBIBYTE).toFixed(2))
  console.log(`\nHeap after every round of ${ROUND_SECONDS} s: ${heaps.join(', ')}`)
  const problems = findProblems(before, after)
  for (const problem of problems) console.log(`\nFAILED: ${problem}`)
  if (problems.length > 0) process.exitCode = 1
  else console.log(`\nPassed: nothing is left, and memory is within ${TOLERANCE * 100} %.`)
}

function formatMemory (name, before, after) {
  const sizes = [before, after].map((bytes) => (bytes / MEBIBYTE).toFixed(2))
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
