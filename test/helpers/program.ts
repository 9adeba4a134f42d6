import { spawn, type ChildProcess } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { Teardown } from './servers'

/** The root folder of the project. */
export const ROOT = join(__dirname, '..', '..')

/** How a program ended, and all it printed. */
export interface Result {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly output: string
}

/** A running child process, killed with the test. */
export class Program {
  readonly ended: Promise<Result>
  readonly #child
  readonly #events = new EventEmitter()
  #output = ''

  constructor (
    t: Teardown, file: string, args: readonly string[],
    { cwd = ROOT, env = {} }: { cwd?: string, env?: NodeJS.ProcessEnv } = {}
  ) {
    // tap wraps `spawn` to load itself into every Node.js process by this variable, whatever `env`
    // says; programs run here as they do at the user's.
    this.#child = spawn('env', ['-u', 'NODE_OPTIONS', file, ...args], {
      cwd, env: { ...cleanEnvironment(), ...env }, stdio: ['ignore', 'pipe', 'pipe']
    })
    const { stdout, stderr } = this.#child
    for (const stream of [stdout, stderr]) this.#collect(stream)
    this.ended = once(this.#child, 'close').then(([code, signal]) => {
      return { code, signal, output: this.#output }
    })
    killWithUs(this.#child)
    t.teardown(() => this.kill('SIGKILL'))
  }

  /** Ends it, and waits until it has ended. */
  async kill (signal: NodeJS.Signals = 'SIGTERM'): Promise<Result> {
    this.signal(signal)
    return this.ended
  }

  signal (signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** The first address that it prints. Rejects if it ends without. */
  async address (): Promise<string> {
    const [address] = await this.until(/http:\/\/[\w.:]+/)
    return address
  }

  /** Waits for what it prints. Rejects if it ends without. */
  async until (wanted: RegExp): Promise<RegExpExecArray> {
    const early = this.ended.then(() => { throw new Error(`it has ended: ${this.#output}`) })
    // Whoever waits for it waits in the race below, where it may come too late.
    early.catch(() => {})
    while (true) {
      const match = wanted.exec(this.#output)
      if (match !== null) return match
      await Promise.race([once(this.#events, 'output'), early])
    }
  }

  #collect (stream: Readable): void {
    stream.on('data', (chunk) => {
      this.#output += chunk
      this.#events.emit('output')
    })
  }
}

/**
 * Lets a child end with this process even if that is killed without a teardown, as tap does with a
 * test file that hangs: a pipe from here ends then, too, and a guard waits for that.
 */
function killWithUs (child: ChildProcess): void {
  const args = ['-c', 'read -r line || kill -KILL "$0"', String(child.pid)]
  const guard = spawn('sh', args, { stdio: ['pipe', 'ignore', 'ignore'] })
  child.once('exit', () => { guard.kill('SIGKILL') })
}

/**
 * Runs a program to its end and returns what it printed.
 *
 * @throws with all that it printed, if it fails
 */
export async function run (
  t: Teardown, file: string, args: readonly string[],
  options?: { cwd?: string, env?: NodeJS.ProcessEnv }
): Promise<string> {
  const { code, output } = await new Program(t, file, args, options).ended
  if (code !== 0) throw new Error(`${file} ${args.join(' ')} failed with ${code}:\n${output}`)
  return output
}

/** Starts an example on a free port. */
export function startExample (
  t: Teardown, name: string, port = '0', env: NodeJS.ProcessEnv = {}
): Program {
  const args = ['--import', 'tsx', join(ROOT, 'examples', name)]
  return new Program(t, process.execPath, args, { env: { PORT: port, ...env } })
}

/** The environment without what the test runner and npm have put there for their own children. */
function cleanEnvironment (): NodeJS.ProcessEnv {
  const isForeign = /^(NODE_V8_COVERAGE|_?TAP|npm_)/i
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !isForeign.test(name)))
}
