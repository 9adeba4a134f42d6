import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Test } from 'tap'
import { Logs } from './logs'
import { echo, serve, type Served } from './plugin'
import { watchProcess } from './uncaught'

/** A promise that the test resolves. */
export function createGate () {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => { open = resolve })
  return { open, opened }
}

/** What a test serves, all of it optional. */
export interface Once extends Omit<Served, 'server'> {
  /** In milliseconds. */
  handlerTimeout?: number
}

/**
 * Serves the WebSocket route `/ws`, whose handler echoes. `finish` says how often the handler must
 * have run by then, and that no error has reached the process.
 */
export async function serveOnce (t: Test, { declare, plugin = {}, handlerTimeout }: Once) {
  const uncaught = watchProcess(t)
  const logs = new Logs()
  let handled = 0
  const { fastify, origin } = await serve(t, {
    server: { logger: logs.logger, ...(handlerTimeout !== undefined && { handlerTimeout }) },
    plugin,
    declare (fastify) {
      declare?.(fastify)
      fastify.get('/ws', { websocket: true }, ({ socket }) => {
        handled++
        socket.on('message', (message) => { socket.send(message) })
      })
    }
  })
  /** Closes the server, so that all late answers have come. */
  const finish = async (times: number): Promise<void> => {
    await fastify.close()
    await nextTurn()
    t.equal(handled, times, 'runs of the handler')
    t.strictSame(uncaught, [])
  }
  return { fastify, origin, logs, finish }
}

/** Serves `/`, whose upgrades a hook answers with `answer`. */
export function refuseWith (answer: (reply: FastifyReply) => unknown) {
  return (fastify: FastifyInstance): void => {
    fastify.get('/', {
      websocket: true,
      preHandler: (_request, reply, _done) => { answer(reply) }
    }, echo)
  }
}
