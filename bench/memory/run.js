import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Child } from '../lib/ipc.js'
import { formatTable } from '../speed/table.js'

const SERVER = fileURLToPath(new URL('server.js', import.meta.url))
const CLIENT = fileURLToPath(new URL('client.js', import.meta.url))

const MEBIBYTE = 2 ** 20
const BOUND = 64 * MEBIBYTE
const WARM_UP = 16 * MEBIBYTE

const USAGE = `npm --prefix bench run memory -- [options]

  --size <MiB>       what a client sends (default: 1024)
  --message <bytes>  in messages of this length (default: 16384)
`

const CASES = {
  'slow-reader': 'a reader of the stream that waits 1 ms after every 64 KiB',
  'awaits-for-ever': 'a handler whose promise stays pending',
  'never-reads': 'a handler that has returned and reads nothing'
}

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '1024' },
    message: { type: 'string', default: '16384' },
    help: { type: 'boolean', default: false }
  }
})

if (values.help) console.log(USAGE)
else await main(readCount('size') * MEBIBYTE, readCount('message'))

function readCount (name) {
  const count = Number(values[name])
  if (!Number.isInteger(count) || count < 1) throw new Error(`--${name} is a number from 1`)
  return count
}

async function main (total, messageSize) {
  const rows = [['', 'seconds', 'peak RSS', 'peak heap', 'RSS after', 'heap after', '']]
  for (const [name, title] of Object.entries(CASES)) {
    const growth = await measureGrowth(name, total, messageSize)
    const isBounded = growth.rss < BOUND && growth.used < BOUND
    if (!isBounded) process.exitCode = 1
    rows.push([title, ...formatGrowth(growth), isBounded ? 'bounded' : 'TOO MUCH'])
  }
  console.log(`A client sends ${values.size} MiB in messages of ${messageSize} bytes.`)
  console.log(`Growth of the server's memory in MiB; the peaks are bounded by ${BOUND / MEBIBYTE}.`)
  console.log('Heap includes external memory, where the content of Buffers is.\n')
  console.log(formatTable(rows))
}

/** How much more memory the server has, at most and after a collection, than before. */
async function measureGrowth (name, total, messageSize) {
  const server = new Child(SERVER, null, ['--expose-gc'])
  const client = new Child(CLIENT, null)
  try {
    const port = await server.ask('start', name)
    await client.ask('send', port, Math.min(total, WARM_UP), messageSize)
    const before = await server.ask('settle')
    const seconds = await client.ask('send', port, total, messageSize)
    const peak = await server.ask('peak')
    const after = await server.ask('settle')
    return {
      seconds,
      rss: peak.rss - before.rss,
      used: peak.used - before.used,
      rssAfter: after.rss - before.rss,
      usedAfter: after.used - before.used
    }
  } finally {
    server.kill()
    client.kill()
  }
}

function formatGrowth ({ seconds, rss, used, rssAfter, usedAfter }) {
  const sizes = [rss, used, rssAfter, usedAfter].map((bytes) => (bytes / MEBIBYTE).toFixed(1))
  return [seconds.toFixed(1), ...sizes]
}
