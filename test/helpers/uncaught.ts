import { turn } from './streams'
import type { Teardown } from './servers'

/**
 * Collects the errors that reach only the process, which they would end. `crash-guard.cjs` sees
 * them too, and fails the test file; this names the test, and a fuzz finds its case by it.
 *
 * The test fails if an error is there at its end that the test has not taken out.
 */
export function watchProcess (t: Teardown): unknown[] {
  const uncaught: unknown[] = []
  const onUncaught = (error: unknown): void => { uncaught.push(error) }
  const events = ['uncaughtException', 'unhandledRejection']
  for (const event of events) process.on(event, onUncaught)
  t.teardown(async () => {
    // Rejections that nobody handled are told of after the tick.
    await turn()
    for (const event of events) process.off(event, onUncaught)
    if (uncaught.length > 0) throw new Error('uncaught', { cause: uncaught[0] })
  })
  return uncaught
}

/** Tells the crash guard of an error that a test wants to reach the process. */
export function expectUncaught (error: Error): void {
  const key = Symbol.for('fastify-websocket.expected-errors')
  // What the guard has put there, if it is loaded: a test file may run bare.
  const { [key]: expected } = globalThis as { [key]?: WeakSet<Error> }
  expected?.add(error)
}
