import { answerQuestions } from '../lib/ipc.js'
import { ends } from './ends.js'

/** Milliseconds that a connection may take from its opening to its end. */
const PATIENCE = 20_000

answerQuestions({
  /** Opens and ends connections, `connections` at a time; resolves with how many ended each way. */
  async run (port, seconds, connections) {
    const ways = Object.entries(ends)
    const counts = Object.fromEntries(ways.map(([name]) => [name, 0]))
    const end = performance.now() + seconds * 1000
    let next = 0
    const work = async () => {
      while (performance.now() < end) {
        const [name, visit] = ways[next++ % ways.length]
        await withPatience(visit(port), name)
        counts[name]++
      }
    }
    await Promise.all(Array.from({ length: connections }, work))
    return counts
  }
})

async function withPatience (promise, name) {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => { reject(new Error(`a connection has not ended: ${name}`)) }, PATIENCE)
  })
  try {
    await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
