import { createRequire } from 'node:module'
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { connect as connectNats } from '@nats-io/transport-node'
import Ioredis from 'ioredis'
import { createClient } from 'redis'
import { natsBroker } from '../../src/brokers/nats'
import { redisBroker } from '../../src/brokers/redis'
import type { TopicBroker } from '../../src/topics/broker'
import { whySkip } from './optional'
import { Program, ROOT } from './program'
import { findPort, type Teardown } from './servers'
import { accepts } from './nginx'
import { turn } from './streams'

/** The older versions of the clients stand beside the programs of others. */
const requireOld = createRequire(join(ROOT, 'test', 'programs', 'package.json'))

/** A client library, and the server that it is for. */
export type Kind = 'ioredis 6' | 'ioredis 5' | 'node-redis 6' | 'node-redis 5' | 'nats'

export const KINDS: readonly Kind[] = [
  'ioredis 6', 'ioredis 5', 'node-redis 6', 'node-redis 5', 'nats'
]

/** A broker of the plugin with a client of the application, which `end` closes. */
export interface Connected {
  readonly broker: TopicBroker
  /** Resolves when the client can publish. */
  readonly ready: Promise<unknown>
  end (): unknown
}

/** Connects a client to a server that listens on a port of 127.0.0.1. */
export async function connectBroker (kind: Kind, port: number): Promise<Connected> {
  switch (kind) {
    case 'nats': {
      const connection = await connectNats({
        port, maxReconnectAttempts: -1, reconnectTimeWait: 50, waitOnFirstConnect: true
      })
      const broker = natsBroker({ connection })
      return { broker, ready: Promise.resolve(), end: () => connection.close() }
    }
    case 'ioredis 6': return useIoredis(Ioredis, port)
    // The types of the older version are alike, as far as they are used here.
    case 'ioredis 5': return useIoredis(requireOld('ioredis5') as typeof Ioredis, port)
    case 'node-redis 6': return useNodeRedis(createClient, port)
    case 'node-redis 5': return useNodeRedis(requireOld('redis5').createClient, port)
  }
}

function useIoredis (Client: typeof Ioredis, port: number): Connected {
  const client = new Client(port, { enableOfflineQueue: false, retryStrategy: () => 50 })
  const ready = new Promise((resolve) => { client.once('ready', resolve) })
  return { broker: redisBroker({ client }), ready, end: () => client.disconnect() }
}

async function useNodeRedis (create: typeof createClient, port: number): Promise<Connected> {
  const client = create({
    disableOfflineQueue: true, socket: { port, host: '127.0.0.1', reconnectStrategy: () => 50 }
  })
  const broker = redisBroker({ client })
  client.on('error', () => {})
  const ready = client.connect()
  await ready
  return { broker, ready, end: () => client.destroy() }
}

const SERVERS = { redis: 'redis-server', nats: 'nats-server' } as const

/** A server for topics, on a free port, which can be killed and started again there. */
export class BrokerServer {
  port = 0
  readonly #t: Teardown
  readonly #name: keyof typeof SERVERS
  readonly #args: readonly string[]
  #program: Program | null = null

  /** @param args further arguments of the server */
  constructor (t: Teardown, kind: Kind, args: readonly string[] = []) {
    this.#args = args
    this.#t = t
    this.#name = kind === 'nats' ? 'nats' : 'redis'
  }

  async start (): Promise<void> {
    this.port ||= await findPort()
    const port = String(this.port)
    const args = this.#name === 'nats'
      ? ['-a', '127.0.0.1', '-p', port]
      : ['--save', '', '--bind', '127.0.0.1', '--port', port]
    this.#program = new Program(this.#t, SERVERS[this.#name], [...args, ...this.#args])
    while (!await accepts(this.port)) await turn()
  }

  async kill (): Promise<void> {
    await this.#program?.kill('SIGKILL')
  }

  signal (signal: NodeJS.Signals): void {
    this.#program?.signal(signal)
  }
}

/** Starts the server of a client library, until the test ends. */
export async function startBroker (t: Teardown, kind: Kind): Promise<BrokerServer> {
  const server = new BrokerServer(t, kind)
  await server.start()
  return server
}

/** Why the tests with a client library are skipped, or false. */
export function whySkipBroker (kind: Kind): string | false {
  const server = SERVERS[kind === 'nats' ? 'nats' : 'redis']
  const isThere = spawnSync(server, ['--version']).status === 0
  return whySkip(isThere, `install ${server}, a package of Debian's`)
}
