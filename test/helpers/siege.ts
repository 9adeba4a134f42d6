import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import type { ServerOptions } from 'node:http'
import type { Test } from 'tap'
import type { WebsocketPluginOptions } from '../../src/types'
import { connect, type Client } from './client'
import { INFO, Logs, type LogLine } from './logs'
import { echo, serve } from './plugin'
import { RawClient } from './raw'
import { portOf } from './servers'
import { turn, until } from './streams'
import { watchProcess } from './uncaught'

/** What an attacker sends, and the answer to it as {@link answerOf} reads it. */
export type Attack = readonly [name: string, answer: number, bytes: string | Buffer]

/** A connection that was cut off without any answer. */
export const NO_ANSWER = 0

/** Close code of a connection that ended without a close frame. */
export const CUT_OFF = 1006

/** What Fastify logs of every request that it serves, and of itself. */
const USUAL_LINES = /^(incoming request|request completed|Route .* not found|Server listening)/

/** What a test besieges, all of it optional. */
export interface Besieged {
  plugin?: WebsocketPluginOptions
  server?: FastifyServerOptions & { http?: ServerOptions }
  /** Declares routes beside `/echo`, which is always there. */
  declare?: (fastify: FastifyInstance) => unknown
}

/**
 * A server under attack with a client that does nothing wrong. After each attack that client must
 * be served as before, nothing else may be left, and nothing may have been thrown.
 */
export class Siege {
  /** Method and URL of all requests that reached the application. */
  readonly requests: string[] = []
  readonly fastify: FastifyInstance
  readonly port: number
  readonly #bystander: Client
  readonly #logs: Logs
  readonly #thrown: unknown[]

  private constructor (
    t: Test, fastify: FastifyInstance, bystander: Client, logs: Logs, requests: string[]
  ) {
    this.fastify = fastify
    this.port = portOf(fastify.server)
    this.requests = requests
    this.#bystander = bystander
    this.#logs = logs
    this.#thrown = watchProcess(t)
  }

  static async begin (t: Test, { plugin = {}, server = {}, declare }: Besieged): Promise<Siege> {
    const logs = new Logs()
    const requests: string[] = []
    const { fastify, origin } = await serve(t, {
      plugin,
      server: { ...server, logger: logs.logger },
      declare (fastify) {
        fastify.addHook('onRequest', async ({ method, url }) => {
          requests.push(`${method} ${url}`)
        })
        fastify.get('/echo', { websocket: true }, echo)
        declare?.(fastify)
      }
    })
    const secure = origin.startsWith('ws:') ? {} : { rejectUnauthorized: false }
    const bystander = await connect(t, `${origin}/echo`, secure)
    return new Siege(t, fastify, bystander, logs, requests)
  }

  /** Sends what an attacker sends and returns the answer, once the connection is closed. */
  async attack (t: Test, bytes: string | Buffer, client = this.enter(t)): Promise<Buffer> {
    client.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
    await client.closed
    return client.received
  }

  enter (t: Test): RawClient {
    return new RawClient(t, this.port)
  }

  /** Runs every attack of a table as a test of its own. */
  async attackEach (t: Test, attacks: readonly Attack[]): Promise<void> {
    for (const [name, answer, bytes] of attacks) {
      await t.test(`${name} is answered with ${answer}`, async (t) => {
        t.equal(answerOf(await this.attack(t, bytes)), answer)
        await this.assertUnharmed(t)
      })
    }
  }

  /** @param noise most lines that the attack may have left in the log */
  async assertUnharmed (t: Test, noise = 1): Promise<void> {
    const { clients } = this.fastify.websocketServer
    await until(() => clients.size === 1)
    await this.assertServed(t)
    // Rejections that nobody handled are told of after the tick.
    await turn()
    t.strictSame(this.#thrown, [])
    const lines = this.takeNoise()
    t.ok(lines.length <= noise, `${lines.length} lines in the log`, { lines })
  }

  /** The client that does nothing wrong gets its answer. */
  async assertServed (t: Test): Promise<void> {
    this.#bystander.send('still there?')
    t.equal(await this.#bystander.nextText(), 'still there?')
  }

  /** Lines of the log at `info` or above since it was asked last, without those of any request. */
  takeNoise (): LogLine[] {
    return this.#logs.lines.splice(0).filter(({ level, msg }) => {
      return level >= INFO && !USUAL_LINES.test(msg)
    })
  }

  /** The last client leaves. */
  async end (t: Test): Promise<void> {
    const { clients } = this.fastify.websocketServer
    t.equal(clients.size, 1)
    this.#bystander.close(1000)
    t.equal((await this.#bystander.closed).code, 1000)
    await until(() => clients.size === 0)
  }
}

/**
 * An answer in one number: the status of a refusal, or the code of the last close frame behind a
 * 101. {@link NO_ANSWER} and {@link CUT_OFF} if there is none.
 */
export function answerOf (received: Buffer): number {
  const head = received.indexOf('\r\n\r\n')
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(received.toString('latin1'))?.[1] ?? NO_ANSWER)
  return status === 101 ? closeCodeOf(received.subarray(head + 4)) : status
}

/** The close code in a server's frames, 1005 for a close frame without. */
export function closeCodeOf (frames: Buffer): number {
  for (const { opcode, payload } of framesOf(frames)) {
    if (opcode === 8) return payload.length === 0 ? 1005 : payload.readUInt16BE()
  }
  return CUT_OFF
}

/** The frames that a server sent, without a last one that is not complete. */
export function * framesOf (bytes: Buffer): Generator<{ opcode: number, payload: Buffer }> {
  let rest = bytes
  while (rest.length >= 2) {
    const { start, end } = payloadRangeOf(rest)
    if (end > rest.length) return
    yield { opcode: rest.readUInt8() & 0x0f, payload: rest.subarray(start, end) }
    rest = rest.subarray(end)
  }
}

function payloadRangeOf (frame: Buffer): { start: number, end: number } {
  const length = frame.readUInt8(1)
  if (length < 126) return { start: 2, end: 2 + length }
  const start = length === 126 ? 4 : 10
  if (frame.length < start) return { start, end: Infinity }
  const long = length === 126 ? frame.readUInt16BE(2) : Number(frame.readBigUInt64BE(2))
  return { start, end: start + long }
}
