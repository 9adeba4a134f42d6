import fc from 'fast-check'
import { randomInt } from 'node:crypto'
import { inspect } from 'node:util'
import tap, { test, type Test } from 'tap'
import { turn } from '../helpers/streams'
import { watchProcess } from '../helpers/uncaught'

/**
 * A run takes these variables of the environment:
 *
 * - FUZZ_SEED: the seed; a new one for every run is printed
 * - FUZZ_TEST and FUZZ_PATH: of a failure, the test and the way to its shortest case
 * - FUZZ_RUNS: cases for each test
 * - FUZZ_SECONDS: seconds for each test; 30 in `npm run fuzz`
 */
const { FUZZ_SEED, FUZZ_TEST, FUZZ_PATH, FUZZ_RUNS, FUZZ_SECONDS, FUZZ_LONG } = process.env

const seed = Number(FUZZ_SEED ?? randomInt(2 ** 31))

/** What every test of the package runs. */
const SHORT_RUNS = 40
const SHORT_SECONDS = 0.6

/** What `npm run fuzz` runs. */
const LONG_SECONDS = 30

/** Milliseconds that whatever has to happen in a case has for it. */
const PATIENCE = 8_000

/** Milliseconds for all tests of a file; the machine may have other things to do. */
const FILE_PATIENCE = 180_000

if (limits().seconds === SHORT_SECONDS) tap.setTimeout(FILE_PATIENCE)

/** A shortest case is short, but for the content of its buffers. */
const INSPECTION = { depth: 8, maxArrayLength: 30, maxStringLength: 300, breakLength: 100 }

/** What is given counts, and else a run is short, in cases and in time. */
function limits (): { numRuns: number, seconds: number } {
  const isLong = FUZZ_LONG !== undefined || FUZZ_SECONDS !== undefined
  const runs = isLong ? Infinity : SHORT_RUNS
  const seconds = isLong ? LONG_SECONDS : SHORT_SECONDS
  if (FUZZ_RUNS !== undefined) return { numRuns: Number(FUZZ_RUNS), seconds: Infinity }
  return { numRuns: runs, seconds: Number(FUZZ_SECONDS ?? seconds) }
}

function parameters (): fc.Parameters<unknown> {
  const { numRuns, seconds } = limits()
  if (FUZZ_PATH !== undefined) return { seed, path: FUZZ_PATH }
  if (seconds === Infinity) return { seed, numRuns }
  return { seed, numRuns, plugins: [fc.interruptAfterTimeLimit(seconds * 1000)] }
}

/**
 * Declares a test of random cases. `prepare` makes what they share and returns the property that
 * every case has to have, by throwing when it has not.
 */
export function fuzz<Case> (
  name: string, cases: fc.Arbitrary<Case>,
  prepare: (t: Test) => Promise<(example: Case) => Promise<void>>
): void {
  if (FUZZ_TEST !== undefined && FUZZ_TEST !== name) return
  test(name, async (t) => {
    t.comment(`FUZZ_SEED=${seed}`)
    const uncaught = watchProcess(t)
    const check = await prepare(t)
    let last = Promise.resolve()
    const property = fc.asyncProperty(cases, async (example) => {
      last = check(example)
      await last
      const [error] = uncaught.splice(0)
      if (error !== undefined) throw new Error('uncaught', { cause: error })
    })
    const details = await fc.check(property, parameters())
    // When the time is over, one is still running.
    const [{ status }] = await Promise.allSettled([last])
    if (!details.failed) t.equal(status, 'fulfilled', 'the last case')
    t.comment(`${details.numRuns} cases`)
    if (!details.failed) return t.pass(`${details.numRuns} cases`)
    const path = details.counterexamplePath ?? ''
    t.comment(`again: FUZZ_SEED=${seed} FUZZ_PATH=${path} FUZZ_TEST='${name}'`)
    t.comment(inspect(details.counterexample, INSPECTION))
    t.comment(inspect(details.errorInstance, INSPECTION))
    throw new Error(`${name}: a case has failed`, { cause: details.errorInstance })
  })
}

/** Waits, turn by turn of the event loop, until `isTrue`. Rejects when it takes too long. */
export async function soonTrue (
  isTrue: () => boolean | Promise<boolean>, what: string
): Promise<void> {
  const deadline = performance.now() + PATIENCE
  while (!await isTrue()) {
    if (performance.now() > deadline) throw new Error(`too late: ${what}`)
    await turn()
  }
}

/** Resolves as `promise` does, or rejects when it takes too long. */
export async function soon<T> (promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => { reject(new Error(`too late: ${what}`)) }, PATIENCE)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
