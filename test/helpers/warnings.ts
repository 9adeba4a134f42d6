import { once } from 'node:events'
import type { Teardown } from './servers'
import { turn } from './streams'

/** A warning of the process with a code. */
export interface CodedWarning extends Error {
  readonly code?: string
}

/** Collects the warnings of the process. They come on the tick after `process.emitWarning`. */
export class Warnings {
  readonly #seen: CodedWarning[] = []

  constructor (t: Teardown) {
    const onWarning = (warning: CodedWarning): void => { this.#seen.push(warning) }
    process.on('warning', onWarning)
    t.teardown(() => { process.off('warning', onWarning) })
  }

  /** The codes of all so far, or the messages of those without one. */
  async codes (): Promise<string[]> {
    await turn()
    return this.#seen.map(({ code, message }) => code ?? message)
  }

  /** The messages of those with this code so far. */
  async with (code: string): Promise<string[]> {
    await turn()
    return this.#seen.filter((warning) => warning.code === code).map(({ message }) => message)
  }

  /** The next one that comes. */
  async next (): Promise<CodedWarning> {
    const [warning] = await once(process, 'warning')
    return warning
  }
}
