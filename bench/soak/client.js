import { ends } from './ends.js'
import { answerQuestions } from '../lib/ipc.js'

/** Milliseconds that a connection may take to come and go. */
const PATIENCE = 20_000

answerQuestions({
  /** Opens and ends connections, so many at a time; resolves with how often each way was taken. */
  async run (port, seconds, connections) {
    const ways = Object.entries(ends)
    const counts = Object.fromEntries(ways.map(([name]) => [name, 0]))
    const end = performance.now() + seconds * 1000
    let next = 0
    const work = async () => {
      while (performance.now() < end) {
        const [name, visit] = ways[next++ % ways.length]
        await soon(visit(port), name)
        counts[name]++
      }
    }
    await Promise.all(Array.from({ length: connections }, work))
    return counts
  }
})

async function soon (promise, name) {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => { reject(new Error(`it is not over: ${name}`)) }, PATIENCE)
  })
  try {
    await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
