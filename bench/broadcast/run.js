import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Child } from '../lib/ipc.js'
import { formatTable } from '../speed/table.js'

const SERVER = fileURLToPath(new URL('server.js', import.meta.url))
const CLIENT = fileURLToPath(new URL('client.js', import.meta.url))

const MEBIBYTE = 2 ** 20

/** What the heap may grow for other reasons than unsent messages. */
const SLACK = 8 * MEBIBYTE

const USAGE = `npm --prefix bench run broadcast -- [options]

  --clients <n>      how many get every message (default: 1000)
  --stalled <n>      how many of them never read (default: 10)
  --size <MiB>       what is sent to each (default: 16)
  --message <bytes>  in messages of this length (default: 16384)
  --limit <MiB>      maxBackpressure (default: 1)
`

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '1000' },
    stalled: { type: 'string', default: '10' },
    size: { type: 'string', default: '16' },
    message: { type: 'string', default: '16384' },
    limit: { type: 'string', default: '1' },
    help: { type: 'boolean', default: false }
  }
})

if (values.help) console.log(USAGE)
else await main()

function readCount (name) {
  const count = Number(values[name])
  if (!Number.isInteger(count) || count < 1) throw new Error(`--${name} is a number from 1`)
  return count
}

async function main () {
  const stalled = readCount('stalled')
  const limit = readCount('limit') * MEBIBYTE
  const bound = stalled * limit + SLACK
  const without = await measureGrowth({}, stalled)
  const results = {
    'without a limit': without,
    'of the plugin': await measureGrowth({ maxBackpressure: limit }, stalled),
    'of the route': await measureGrowth({ websocket: { maxBackpressure: limit } }, stalled)
  }
  const rows = Object.entries(results).map(([name, growth]) => formatRow(name, growth))
  const size = `${values.size} MiB in messages of ${values.message} characters`
  console.log(`${values.clients} clients are sent ${size}; ${stalled} of them never read.`)
  console.log(`Growth of the server's memory in MiB, with maxBackpressure of ${values.limit} MiB.`)
  console.log('Heap includes external memory, and is counted after collections.\n')
  console.log(formatTable([
    ['maxBackpressure', 'seconds', 'peak RSS', 'peak heap', 'heap after', 'cut off'], ...rows
  ]))
  const problems = findProblems(results, bound, stalled)
  for (const problem of problems) console.log(`\nFAILED: ${problem}`)
  if (problems.length > 0) process.exitCode = 1
  else console.log(`\nPassed: with a limit the peak is below ${bound / MEBIBYTE} MiB.`)
}

/** How much more memory the server has, at most and at the end, than with idle clients. */
async function measureGrowth (options, stalled) {
  const server = new Child(SERVER, null, ['--expose-gc'])
  const client = new Child(CLIENT, null)
  try {
    const port = await server.ask('start', options)
    await client.ask('open', port, readCount('clients'), stalled)
    const before = await server.ask('settle')
    const messages = Math.ceil(readCount('size') * MEBIBYTE / readCount('message'))
    const seconds = await server.ask('broadcast', messages, readCount('message'))
    const peak = await server.ask('peak')
    const cutOff = readCount('clients') - await server.ask('countClients')
    await client.ask('check', messages * readCount('message'))
    const after = await server.ask('settle')
    return {
      seconds,
      rss: peak.rss - before.rss,
      used: peak.used - before.used,
      usedAfter: after.used - before.used,
      cutOff
    }
  } finally {
    server.kill()
    client.kill()
  }
}

function formatRow (name, { seconds, rss, used, usedAfter, cutOff }) {
  const sizes = [rss, used, usedAfter].map((bytes) => (bytes / MEBIBYTE).toFixed(1))
  return [name, seconds.toFixed(1), ...sizes, String(cutOff)]
}

function findProblems (results, bound, stalled) {
  const { 'without a limit': without, ...limited } = results
  const problems = []
  if (without.used < bound) problems.push('too little was sent: no limit was needed')
  for (const [name, { used, cutOff }] of Object.entries(limited)) {
    if (used >= bound) problems.push(`the memory has grown too much with the limit ${name}`)
    if (cutOff !== stalled) problems.push(`${cutOff} were cut off by the limit ${name}`)
  }
  return problems
}
