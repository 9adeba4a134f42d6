// Sees every error that would end the process, and every leak of listeners that Node.js warns of,
// even where a listener of a test or of the application hides it. Node.js loads this file with
// `--require` into each test process (`.taprc`) and each program that a test starts (`program.ts`).
//
// It changes nothing of what an error does. In a test process, one that did not end it makes it
// fail all the same. Programs write theirs to the file that TEST_CRASHES names, for the test.
'use strict'

const { appendFileSync } = require('node:fs')
const { inspect } = require('node:util')

const { TEST_CRASHES } = process.env

/** The warning of Node.js about a leak: harmless alone, and a crash at last. */
const LEAK = 'MaxListenersExceededWarning'

let hasFailed = false

/** Errors that a test wants to reach the process: `expectUncaught` of `uncaught.ts` puts them in. */
const expected = globalThis[Symbol.for('fastify-websocket.expected-errors')] = new WeakSet()

function record (kind, error) {
  if (error instanceof Error && expected.has(error)) return
  const line = `${kind} in ${process.argv.slice(1).join(' ')}: ${inspect(error)}`
  if (TEST_CRASHES !== undefined) {
    appendFileSync(TEST_CRASHES, `${line}\n`)
    return
  }
  hasFailed = true
  process.stderr.write(`crash guard: ${line}\n`)
}

process.on('uncaughtExceptionMonitor', (error, origin) => { record(origin, error) })

process.on('warning', (warning) => {
  if (warning.name === LEAK) record('warning', warning)
})

// Without a listener, a rejection becomes an uncaught exception, which the monitor above sees. With
// one it does not, so this listener is there as long as another one is.
function onUnhandledRejection (error) {
  record('unhandledRejection', error)
}

process.on('newListener', (event, listener) => {
  if (event !== 'unhandledRejection' || listener === onUnhandledRejection) return
  if (process.listeners(event).includes(onUnhandledRejection)) return
  process.on(event, onUnhandledRejection)
})

process.on('removeListener', (event) => {
  if (event !== 'unhandledRejection' || process.listenerCount(event) !== 1) return
  process.off(event, onUnhandledRejection)
})

process.on('exit', () => {
  if (hasFailed && !process.exitCode) process.exitCode = 1
})
