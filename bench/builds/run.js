/**
 * Two builds of this package in one process, without a network: what does an echoed message cost
 * with the one, compared with the other? What disturbs the machine disturbs both of them alike.
 *
 * V8 does not optimize the same code in the same way in every process, and a build that comes second
 * may have a disadvantage. So there are several processes, and every other one has the builds in the
 * other order.
 */

import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Child } from '../lib/ipc.js'
import { formatNumber } from '../lib/numbers.js'
import { readCount, readOptions } from '../lib/options.js'
import { median, summarize } from '../lib/statistics.js'
import { formatTable } from '../lib/table.js'

const CHILD = fileURLToPath(new URL('child.js', import.meta.url))
const CURRENT = fileURLToPath(new URL('../../dist', import.meta.url))

const { before, processes, rounds, ...work } = readOptions('npm --prefix bench run builds', {
  before: { value: 'folder', read: String, default: 'node_modules/.before', help: 'other build' },
  frames: { value: 'number', read: readCount, default: 64, help: 'messages that arrive together' },
  size: { value: 'bytes', read: readCount, default: 32, help: 'size of each message' },
  text: { help: 'text messages, which the listener takes as strings' },
  connections: { value: 'number', read: readCount, default: 16, help: 'they get chunks in turn' },
  rounds: { value: 'number', read: readCount, default: 60, help: 'rounds of each build' },
  processes: { value: 'number', read: readCount, default: 6, help: 'half of them in each order' }
})

// npm starts the program in another folder than the one in which the command was given.
const other = resolve(process.env.INIT_CWD ?? '', before)

const rows = [['process', 'before, ns', 'now, ns', 'ratio']]
const ratios = []
for (let i = 0; i < processes; i++) {
  const { before: old, now, ratio } = await compare(i % 2 === 1)
  ratios.push(ratio)
  rows.push([String(i + 1), formatNumber(old), formatNumber(now), ratio.toFixed(3)])
}
const { median: middle, min, max } = summarize(ratios)
console.log(`${formatTable(rows)}\n`)
const [ratio, lowest, highest] = [middle, min, max].map((value) => value.toFixed(3))
console.log(`A message takes ${ratio} of the time before (${lowest} to ${highest}).`)

/** The nanoseconds for a message with each build, and the ratio: medians of the rounds. */
async function compare (isReversed) {
  const builds = isReversed ? [CURRENT, other] : [other, CURRENT]
  const child = new Child(CHILD, null)
  try {
    const pairs = await child.ask('measure', builds, work, rounds)
    const inOrder = isReversed ? pairs.map(([now, old]) => [old, now]) : pairs
    return {
      before: median(inOrder.map(([old]) => old)),
      now: median(inOrder.map(([, now]) => now)),
      ratio: median(inOrder.map(([old, now]) => now / old))
    }
  } finally {
    child.kill()
  }
}
