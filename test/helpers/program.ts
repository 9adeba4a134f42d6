import { spawn, type ChildProcess } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
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

const CRASH_GUARD = join(__dirname, 'crash-guard.cjs')

/** How a program is run. */
export interface ProgramOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  /** To crash is what it is for. */
  readonly mayCrash?: boolean
}

/**
 * A running child process, killed with the test. If something is uncaught in it, or in a Node.js
 * process below it, the test fails.
 */
export class Program {
  readonly ended: Promise<Result>
  readonly #child
  readonly #events = new EventEmitter()
  readonly #crashes = mkdtempSync(join(tmpdir(), 'crashes-'))
  #output = ''

  constructor (
    t: Teardown, file: string, args: readonly string[],
    { cwd = ROOT, env = {}, mayCrash = false }: ProgramOptions = {}
  ) {
    // tap wraps `spawn` to load itself into every Node.js process by NODE_OPTIONS, whatever `env`
    // says; programs run here as they do at the user's, except for the guard, which only looks on.
    const guard = [`NODE_OPTIONS=--require=${CRASH_GUARD}`, `TEST_CRASHES=${this.#crashFile}`]
    const setting = mayCrash ? ['-u', 'NODE_OPTIONS'] : guard
    this.#child = spawn('env', [...setting, file, ...args], {
      cwd, env: { ...cleanEnvironment(), ...env }, stdio: ['ignore', 'pipe', 'pipe']
    })
    const { stdout, stderr } = this.#child
    for (const stream of [stdout, stderr]) this.#collect(stream)
    this.ended = once(this.#child, 'close').then(([code, signal]) => {
      return { code, signal, output: this.#output }
    })
    killWithUs(this.#child)
    t.teardown(async () => {
      await this.kill('SIGKILL')
      this.#assertNoCrash()
    })
  }

  get #crashFile (): string {
    return join(this.#crashes, 'crashes.txt')
  }

  /** @throws what was uncaught in the program */
  #assertNoCrash (): void {
    const crashes = readIfThere(this.#crashFile)
    rmSync(this.#crashes, { recursive: true })
    if (crashes !== '') throw new Error(`uncaught in a program: ${crashes}`)
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

/** The text of a file, empty if there is none. */
function readIfThere (file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
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
  options?: ProgramOptions
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
export function cleanEnvironment (): NodeJS.ProcessEnv {
  const isForeign = /^(NODE_V8_COVERAGE|_?TAP|npm_)/i
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !isForeign.test(name)))
}
