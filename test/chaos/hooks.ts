import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { THROWN, wait } from './handlers'

/** The hooks that can answer a request. */
export type AnsweringHook = 'onRequest' | 'preParsing' | 'preValidation' | 'preHandler'

/** The hooks that cannot. */
export type WatchingHook = 'onSend' | 'onResponse' | 'onError'

/** Ways to refuse a client: none lets it in. */
export const ANSWERS = [
  'answer', 'answer and return', 'answer late', 'throw', 'reject', 'throw frozen'
] as const

/** Ways of a hook to take its time, or to fail. */
export const DELAYS = ['wait', 'wait for nothing', 'throw', 'reject', 'throw frozen'] as const

type Answer = typeof ANSWERS[number]
type Delay = typeof DELAYS[number] | 'read'

/** What a hook does with a request. */
type Action = (request: FastifyRequest, reply: FastifyReply) => unknown

const ACTIONS: Record<Answer | Delay, Action> = {
  // As long as some clients stay, so that some have left when the hook goes on.
  wait: async () => { await wait(30) },
  // It takes a few microtasks all the same, in which other code may run.
  'wait for nothing': async () => {},
  read: async ({ raw }) => { await raw.toArray() },
  // The slip of many: without `return`, Fastify has to see by itself that there is an answer.
  answer: async (_request, reply) => { reply.code(401).send('no') },
  'answer and return': async (_request, reply) => reply.code(401).send('no'),
  'answer late': async (_request, reply) => {
    // After the first clients have left, and before the last.
    await wait(20)
    reply.code(401).send('no')
  },
  throw: () => { throw Object.assign(THROWN.error(), { statusCode: 401 }) },
  reject: async () => {
    // In a turn of its own, behind the frames that came with the request.
    await wait(10)
    throw Object.assign(THROWN.error(), { statusCode: 401 })
  },
  'throw frozen': async () => { throw THROWN['frozen error']() }
}

/**
 * Adds a hook that does `action` with the upgrades that `isMeant` picks, and nothing with other
 * requests.
 */
export function addAction (
  fastify: FastifyInstance, name: AnsweringHook | WatchingHook, action: Answer | Delay,
  isMeant: (request: FastifyRequest) => boolean
): void {
  const act = ACTIONS[action]
  const run = async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    return request.ws && isMeant(request) ? act(request, reply) : undefined
  }
  switch (name) {
    // What these two resolve to replaces the body.
    case 'preParsing':
      fastify.addHook(name, async (request, reply, body) => {
        await run(request, reply)
        return body
      })
      return
    case 'onSend':
      fastify.addHook(name, async (request, reply, body) => {
        await run(request, reply)
        return body
      })
      return
    case 'onError':
      fastify.addHook(name, async (request, reply) => { await run(request, reply) })
      return
    case 'onResponse':
      fastify.addHook(name, async (request, reply) => { await run(request, reply) })
      return
    default:
      fastify.addHook(name, run)
  }
}
