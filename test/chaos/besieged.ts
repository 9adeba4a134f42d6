// A process that runs sieges, one at a time, for the process that has started it. It ends with it.
import { runSiege, type SiegePlan } from './siege'

const uncaught: unknown[] = []

// The other kind of process has no listeners: there, what is uncaught is a crash.
if (process.argv.includes('watched')) {
  for (const event of ['uncaughtException', 'unhandledRejection']) {
    process.on(event, (error: unknown) => { uncaught.push(error) })
  }
}
process.on('disconnect', () => { process.exit() })
process.on('message', async (plan: SiegePlan) => {
  process.send?.(await runSiege(plan, uncaught))
})
