import { spawn } from 'node:child_process'

/** Milliseconds that an answer may take; then the process is killed. */
const ANSWER_TIMEOUT = 180_000

/** Answers the questions of the parent process; `commands` has a function for each of them. */
export function answerQuestions (commands) {
  process.on('message', async ({ command, args }) => {
    try {
      process.send({ result: await commands[command](...args) })
    } catch (error) {
      process.send({ failure: error.stack })
    }
  })
  // A child never outlives the run.
  process.on('disconnect', () => { process.exit() })
}

/** A Node.js process that answers questions. Kill it when it is done. */
export class Child {
  #process
  #pending = null

  /** @param cpu the core it may run on, or null */
  constructor (script, cpu, nodeOptions = []) {
    const command = [process.execPath, ...nodeOptions, script]
    if (cpu !== null) command.unshift('taskset', '-c', String(cpu))
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
