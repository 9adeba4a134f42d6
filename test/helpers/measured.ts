import { join } from 'node:path'
import { Program, ROOT } from './program'
import type { Teardown } from './servers'

/** Bytes of buffers that a program keeps: now, and the most that were found since the last time. */
export interface Memory {
  readonly buffers: number
  readonly peak: number
}

/** An example on a free port that tells what memory it holds. */
export class MeasuredExample {
  readonly program: Program
  #reports = 0

  constructor (t: Teardown, name: string, env: NodeJS.ProcessEnv = {}) {
    const probe = join(ROOT, 'test', 'helpers', 'memory-probe.ts')
    const example = join(ROOT, 'examples', name)
    const args = ['--import', 'tsx', '--import', probe, example]
    this.program = new Program(t, process.execPath, args, { env: { PORT: '0', ...env } })
  }

  /** The `ws://` origin. */
  async origin (): Promise<string> {
    return (await this.program.address()).replace('http', 'ws')
  }

  async memory (): Promise<Memory> {
    const report = ++this.#reports
    this.program.signal('SIGUSR2')
    const [, json = ''] = await this.program.until(new RegExp(`memory ${report} (.*)\n`))
    return JSON.parse(json)
  }

  /** What it holds once that does not change any more: it has come to a halt. */
  async halted (): Promise<Memory> {
    let memory = await this.memory()
    for (let same = 0; same < 2;) {
      const next = await this.memory()
      same = next.buffers === memory.buffers ? same + 1 : 0
      memory = next
    }
    return memory
  }
}
