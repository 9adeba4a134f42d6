/**
 * The memory of subscriptions: bytes of the heap for each, with ten topics for each subscriber.
 * `npm --prefix bench run subscriptions`
 */

import { Hub } from '../../dist/topics/hub.js'
import { collectGarbage, readMemory } from '../lib/memory.js'
import { formatTable } from '../lib/table.js'
import { reportVerdict } from '../lib/verdict.js'

/** Most bytes for each subscription. */
const BOUND = 60

const TOPICS_EACH = 10
const TOPICS = 1000

const rows = []
const problems = []
for (const count of [1e5, 1e6]) {
  const bytes = await measure(count)
  rows.push([count.toLocaleString('en'), bytes.toFixed(1)])
  if (bytes > BOUND) problems.push(`${bytes.toFixed(1)} bytes for each of ${count}`)
}
console.log(`${TOPICS_EACH} of ${TOPICS} topics for each subscriber.\n`)
console.log(formatTable([['subscriptions', 'bytes each'], ...rows]))
reportVerdict(problems, `a subscription takes at most ${BOUND} bytes.`)

async function measure (count) {
  const hub = new Hub()
  const subscribers = Array.from({ length: count / TOPICS_EACH }, () => {
    return { subscriptions: null, deliver () {} }
  })
  await collectGarbage()
  const before = readMemory().used
  for (const [i, subscriber] of subscribers.entries()) {
    for (let k = 0; k < TOPICS_EACH; k++) {
      hub.subscribe(subscriber, `topic ${(i * 7 + k * 97) % TOPICS}`)
    }
  }
  await collectGarbage()
  const bytes = (readMemory().used - before) / count
  // Read here, so that nothing of it is collected before.
  if (hub.subscriberCount('topic 0') === 0) throw new Error('nothing was subscribed')
  return bytes
}
