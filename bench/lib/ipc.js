/**
 * Questions of a benchmark to its processes, over the IPC channel of Node.js, one at a time.
 *
 * The benchmark (`run.js`) starts a `Child` and asks: `await child.ask('open', port)`. The script
 * of the child (`server.js`, `client.js`) has a function for each question, and gives all of them
 * to `answerQuestions`. The result of the function, or its error, is the answer.
 */

import { spawn } from 'node:child_process'

/** Milliseconds that an answer may take. After that time the child is killed, so `ask` rejects. */
const ANSWER_TIMEOUT = 180_000

/** In a child: answers the questions of the benchmark by calling the functions of `commands`. */
export function answerQuestions (commands) {
  process.on('message', async ({ command, args }) => {
    try {
      process.send({ result: await commands[command](...args) })
    } catch (error) {
      process.send({ failure: error.stack })
    }
  })
  // The benchmark has ended, perhaps by a signal; without this line the child would live on.
  process.on('disconnect', () => { process.exit() })
}

/** A process that answers questions. It lives until `kill` is called. */
export class Child {
  #process
  #pending = null

  /**
   * @param core the number of the only core that the process may use, or null for any core
   * @param options options of the runtime
   * @param runtime the program that runs the script: Node.js, or one with the same options and IPC
   */
  constructor (script, core, options = [], runtime = process.execPath) {
    const command = [runtime, ...options, script]
    if (core !== null) command.unshift('taskset', '-c', String(core))
    const [file, ...args] = command
    this.#process = spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#process.on('message', ({ result, failure }) => {
      if (failure === undefined) this.#pending?.resolve(result)
      else this.#pending?.reject(new Error(failure))
    })
    this.#process.on('exit', (code, signal) => {
      this.#pending?.reject(new Error(`${script} has ended: ${signal ?? code}`))
    })
    this.#process.on('error', (error) => { this.#pending?.reject(error) })
  }

  /** Resolves with the result of the function `command` in the child. */
  async ask (command, ...args) {
    const timer = setTimeout(() => { this.kill() }, ANSWER_TIMEOUT)
    try {
      return await new Promise((resolve, reject) => {
        this.#pending = { resolve, reject }
        this.#process.send({ command, args })
      })
    } finally {
      clearTimeout(timer)
      this.#pending = null
    }
  }

  kill () {
    this.#process.kill('SIGKILL')
  }
}
