import { test, type Test } from 'tap'
import { isUsual } from './transports'

/**
 * A test that is not repeated over other transports: it chooses its own, has none, or is about what
 * only HTTP/1 has.
 */
export function testOnce (title: string, run: (t: Test) => Promise<void>): void {
  if (isUsual()) test(title, run)
}
