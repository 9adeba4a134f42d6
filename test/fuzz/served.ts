import type { FastifyInstance } from 'fastify'
import { isDeepStrictEqual } from 'node:util'
import type { Test } from 'tap'
import type { WebsocketHandler, WebsocketServerOptions } from '../../src/types'
import { connect, type Client } from '../helpers/client'
import { DEBUG, ERROR, INFO, type LogLine } from '../helpers/logs'
import { serve } from '../helpers/plugin'
import { portOf } from '../helpers/servers'
import { soon, soonTrue } from './fuzz'
import { Peer } from './peer'

/** Longest message in bytes: more than conversations have, less than garbage may tell. */
export const MAX_PAYLOAD = 100_000

const WELL_BEHAVED = { perMessageDeflate: false }

/** What the cases of a test are tried on. */
export interface Target {
  readonly handler: WebsocketHandler
  readonly options?: WebsocketServerOptions
  /** Declares hooks. */
  readonly declare?: (fastify: FastifyInstance) => void
}

/** A server with an echo, and a client that nothing may disturb. */
export class Served {
  readonly #fastify: FastifyInstance
  readonly #origin: string
  readonly #bystander: Client
  readonly #lines: LogLine[]
  #greetings = 0

  constructor (fastify: FastifyInstance, origin: string, bystander: Client, lines: LogLine[]) {
    this.#fastify = fastify
    this.#origin = origin
    this.#bystander = bystander
    this.#lines = lines
  }

  /** Runs `talk` with a new client, and sees to it that nothing is left of it. */
  async visit<Answer> (talk: (peer: Peer) => Promise<Answer>): Promise<Answer> {
    const peer = new Peer(portOf(this.#fastify.server))
    this.#lines.length = 0
    try {
      return await soon(talk(peer), 'the end of the conversation')
    } finally {
      peer.destroy()
      await soon(peer.closed, 'the close of the client')
    }
  }

  /** @throws unless only the bystander is left, and is answered as it was */
  async checkUnharmed (t: Test): Promise<void> {
    const { clients } = this.#fastify.websocketServer
    await soonTrue(() => clients.size === 1, 'the end of the connection on the server')
    await soonTrue(async () => await this.#countConnections() === 1, 'the end of its TCP socket')
    checkLines(this.#lines)
    const greeting = `greeting ${this.#greetings++}`
    await soon(checkEcho(this.#bystander, greeting), 'the echo of another client')
    const newcomer = await soon(connect(t, this.#origin, WELL_BEHAVED), 'a handshake')
    await soon(checkEcho(newcomer, greeting), 'the echo of a new client')
    newcomer.close()
    await soon(newcomer.closed, 'the close of a new client')
    await soonTrue(() => clients.size === 1, 'the end of a new client on the server')
  }

  #countConnections (): Promise<number> {
    const { server } = this.#fastify
    return new Promise((resolve, reject) => {
      server.getConnections((error, count) => { error === null ? resolve(count) : reject(error) })
    })
  }
}

async function checkEcho (client: Client, text: string): Promise<void> {
  client.send(text)
  const answer = await client.nextText()
  if (answer !== text) throw new Error(`a client is answered ${answer}`)
}

/** What a peer does is no failure of the application, and it cannot flood the log. */
function checkLines (lines: readonly LogLine[]): void {
  const failure = lines.find(({ level }) => level >= ERROR)
  if (failure !== undefined) throw new Error('an error was logged', { cause: failure })
  const rules = lines.filter(({ level, msg }) => level > DEBUG && msg.startsWith('websocket '))
  if (rules.length > 1 || rules.some(({ level }) => level > INFO)) {
    throw new Error('too much was logged', { cause: rules })
  }
}

/** Serves a target until the end of the test. */
export async function serveTarget (t: Test, target: Target): Promise<Served> {
  const { handler, declare, options = {} } = target
  const lines: LogLine[] = []
  const stream = { write (line: string) { lines.push(JSON.parse(line)) } }
  const { fastify, origin } = await serve(t, {
    plugin: { options: { maxPayload: MAX_PAYLOAD, ...options } },
    server: { logger: { level: 'debug', stream } },
    declare (fastify) {
      declare?.(fastify)
      fastify.get('/', { websocket: true }, handler)
    }
  })
  return new Served(fastify, origin, await connect(t, origin, WELL_BEHAVED), lines)
}

/** @throws unless the values are deeply equal */
export function checkEqual (what: string, actual: unknown, expected: unknown): void {
  if (isDeepStrictEqual(actual, expected)) return
  throw new Error(`other ${what} than expected`, { cause: { actual, expected } })
}
