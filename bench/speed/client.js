import { answerQuestions } from '../lib/ipc.js'
import { Load } from './load.js'

let load
let work

answerQuestions({
  /** From now on this process does not sleep while it waits: the server would have to wake it. */
  stayAwake () {
    const stay = () => { setImmediate(stay) }
    stay()
  },

  async open (port, target) {
    work = target
    load = new Load(work)
    await load.open(port, work.connections)
  },

  verify: () => load.verify(),

  /** Runs for at least `seconds`. Resolves with the messages a second of the last, longest part. */
  async warmUp (seconds) {
    let count = 10 * work.connections * work.inFlight
    let elapsed = await load.run(count, work.inFlight)
    let last = elapsed
    while (elapsed < seconds) {
      count *= 2
      last = await load.run(count, work.inFlight)
      elapsed += last
    }
    return count / last
  },

  run: (count) => load.run(count, work.inFlight),

  close: () => load.close()
})
