import { PassThrough } from 'node:stream'

/** A line of pino, as far as tests look at it. */
export interface LogLine {
  readonly level: number
  readonly msg: string
  readonly reqId?: string
  readonly res?: { readonly statusCode: number }
  readonly maxPayload?: number
  readonly code?: number
  readonly topic?: string
  readonly err?: { readonly code?: string, readonly message: string, readonly stack: string }
}

/** Levels of pino. */
export const DEBUG = 20
export const INFO = 30
export const WARN = 40
export const ERROR = 50

/** What a Fastify logger writes. */
export class Logs {
  readonly lines: LogLine[] = []
  readonly #stream = new PassThrough()

  constructor () {
    this.#stream.on('data', (chunk) => {
      for (const line of String(chunk).trim().split('\n')) this.lines.push(JSON.parse(line))
    })
  }

  /** The `logger` option of Fastify that writes here. */
  get logger () {
    return { level: 'debug', stream: this.#stream }
  }

  /** The first line with the message `msg`, whether it has come already or not. */
  async find (msg: string): Promise<LogLine> {
    for (;;) {
      const found = this.lines.find((line) => line.msg === msg)
      if (found !== undefined) return found
      await new Promise((resolve) => { this.#stream.once('data', resolve) })
    }
  }
}
