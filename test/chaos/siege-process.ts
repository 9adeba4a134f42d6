import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { cleanEnvironment, ROOT } from '../helpers/program'
import type { SiegePlan, Verdict } from './siege'

/**
 * What listens to the errors that a process would end with: a `watched` process has listeners for
 * both kinds, as many applications have, a `bare` one has none and crashes.
 */
export type Guards = 'watched' | 'bare'

/** How a siege ended that ran in a process of its own; null if the application stood it. */
export type Outcome =
  | NonNullable<Verdict>
  | { readonly fault: 'crash' | 'stuck', readonly detail: string }
  | null

/**
 * Milliseconds for a whole siege, the start of its process included. A siege that waits to the end
 * for each thing that it waits for takes half of it.
 */
const PATIENCE = 40_000

/** A child process that runs sieges one after the other, and is replaced when one went wrong. */
export class SiegeProcess {
  readonly guards: Guards
  #child: ChildProcess | null = null
  #errors = ''

  constructor (guards: Guards) {
    this.guards = guards
  }

  /** Runs a siege to its end. */
  async run (plan: SiegePlan): Promise<Outcome> {
    const child = this.#child ??= this.#start()
    const outcome = await this.#outcomeOf(child, plan)
    // Of a siege that went wrong, anything may be left.
    if (outcome !== null) await this.end()
    return outcome
  }

  #outcomeOf (child: ChildProcess, plan: SiegePlan): Promise<Outcome> {
    return new Promise((resolve) => {
      const finish = (outcome: Outcome): void => {
        clearTimeout(timer)
        child.off('message', finish)
        child.off('close', onClose)
        resolve(outcome)
      }
      const onClose = (): void => { finish({ fault: 'crash', detail: summarize(this.#errors) }) }
      const timer = setTimeout(() => {
        finish({ fault: 'stuck', detail: `no verdict after ${PATIENCE} ms` })
      }, PATIENCE)
      child.on('message', finish)
      child.on('close', onClose)
      child.send(plan)
    })
  }

  /** Ends the process. */
  async end (): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const closed = once(child, 'close')
    child.kill('SIGKILL')
    await closed
  }

  #start (): ChildProcess {
    const file = join(__dirname, 'besieged.ts')
    const command = [process.execPath, '--import', 'tsx', file, this.guards]
    // As other programs of tests do, it runs without what tap would load into it.
    const child = spawn('env', ['-u', 'NODE_OPTIONS', ...command], {
      cwd: ROOT, env: cleanEnvironment(), stdio: ['ignore', 'ignore', 'pipe', 'ipc']
    })
    this.#errors = ''
    child.stderr?.on('data', (chunk) => { this.#errors += chunk })
    return child
  }
}

/** The lines that matter of what Node.js prints when it ends with an error. */
function summarize (errors: string): string {
  const lines = errors.split('\n').filter((line) => line.trim() !== '')
  const start = lines.findIndex((line) => /^\S*(Error|Uncaught)|^\[/.test(line))
  return lines.slice(Math.max(start, 0)).slice(0, 4).map((line) => line.trim()).join(' ')
}
