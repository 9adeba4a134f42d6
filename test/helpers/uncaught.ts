import type { Teardown } from './servers'

/** Collects what reaches nobody but the process, which it would end. */
export function watchProcess (t: Teardown): unknown[] {
  const uncaught: unknown[] = []
  const onUncaught = (error: unknown): void => { uncaught.push(error) }
  for (const event of ['uncaughtException', 'unhandledRejection']) {
    process.on(event, onUncaught)
    t.teardown(() => { process.off(event, onUncaught) })
  }
  return uncaught
}
