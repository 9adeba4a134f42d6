import cookie from '@fastify/cookie'
import session, { type FastifySessionOptions, type SessionStore } from '@fastify/session'
import type { FastifyInstance, Session } from 'fastify'
import { test } from 'tap'
import { connect, refused, type Client } from '../../helpers/client'
import { serve } from '../../helpers/plugin'
import type { Teardown } from '../../helpers/servers'

declare module 'fastify' {
  interface Session {
    seen?: string
  }
}

/** Keeps copies, as a store in a database does: the default one keeps the very objects. */
class CopyingStore implements SessionStore {
  readonly #sessions = new Map<string, string>()

  set (id: string, session: Session, callback: () => void): void {
    this.#sessions.set(id, JSON.stringify(session))
    callback()
  }

  get (id: string, callback: (error: unknown, session?: Session | null) => void): void {
    callback(null, JSON.parse(this.#sessions.get(id) ?? 'null'))
  }

  destroy (id: string, callback: () => void): void {
    this.#sessions.delete(id)
    callback()
  }
}

/**
 * Serves `/socket`, a websocket that notes what it is told in the session, and `/seen`, which
 * tells the note by HTTP.
 */
async function serveSessions (
  t: Teardown, options: Partial<FastifySessionOptions> = {}
): Promise<{ fastify: FastifyInstance, origin: string }> {
  return serve(t, {
    declare: (fastify) => {
      fastify.register(cookie)
      fastify.register(session, {
        secret: 'a secret of at least thirty-two characters',
        cookie: { secure: false },
        store: new CopyingStore(),
        ...options
      })
      fastify.get('/login', async (request) => {
        request.session.seen = 'login'
        return 'welcome'
      })
      fastify.get('/seen', async ({ session }) => ({ seen: session?.seen ?? null }))
      fastify.get('/socket', { websocket: true }, ({ socket }, _req, request) => {
        socket.send(`seen: ${request.session.seen}`)
        socket.on('message', async (message) => {
          request.session.seen = String(message)
          if (message === 'and save') await request.session.save()
          if (message === 'and leave') await request.session.destroy()
          socket.send('noted')
        })
      })
      fastify.get('/in-hook', {
        websocket: true, preHandler: async ({ session }) => { session.seen = 'hook' }
      }, ({ socket }) => { socket.send('hello') })
    }
  })
}

/** The cookie to send back. */
function cookieOf (headers: { getSetCookie (): string[] } | Client['headers']): string {
  const lines = headers instanceof Headers ? headers.getSetCookie() : Object(headers)['set-cookie']
  return String(lines[0]).split(';', 1)[0] ?? ''
}

async function login (origin: string): Promise<{ cookie: string }> {
  const { headers } = await fetch(`${origin.replace('ws', 'http')}/login`)
  return { cookie: cookieOf(headers) }
}

async function seenBy (origin: string, headers: { cookie: string }): Promise<unknown> {
  const answer = await fetch(`${origin.replace('ws', 'http')}/seen`, { headers })
  return Object(await answer.json()).seen
}

test('a handler reads the session of its cookie', async (t) => {
  const { origin } = await serveSessions(t)
  const client = await connect(t, `${origin}/socket`, { headers: await login(origin) })
  t.equal(await client.nextText(), 'seen: login')
})

test('a new session goes out as a cookie of the 101, with what hooks put into it', async (t) => {
  const { origin } = await serveSessions(t)
  const { headers } = await connect(t, `${origin}/in-hook`)
  t.equal(await seenBy(origin, { cookie: cookieOf(headers) }), 'hook')
})

test('what a handler changes is lost, unless it saves the session', async (t) => {
  const { origin } = await serveSessions(t)
  const headers = await login(origin)
  const client = await connect(t, `${origin}/socket`, { headers })
  await client.next()
  client.send('for me alone')
  t.equal(await client.nextText(), 'noted')
  t.equal(await seenBy(origin, headers), 'login')
  client.send('and save')
  t.equal(await client.nextText(), 'noted')
  t.equal(await seenBy(origin, headers), 'and save')
})

test('a handler can destroy the session', async (t) => {
  const { origin } = await serveSessions(t)
  const headers = await login(origin)
  const client = await connect(t, `${origin}/socket`, { headers })
  await client.next()
  client.send('and leave')
  t.equal(await client.nextText(), 'noted')
  t.equal(await seenBy(origin, headers), null)
})

test('with saveUninitialized: false the 101 has no cookie of an untouched session', async (t) => {
  const { origin } = await serveSessions(t, { saveUninitialized: false })
  const client = await connect(t, `${origin}/socket`)
  t.notOk('set-cookie' in client.headers)
  t.equal(await client.nextText(), 'seen: undefined')
})

test('a hook refuses an upgrade without a session that it knows', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.register(cookie)
      fastify.register(session, {
        secret: 'a secret of at least thirty-two characters', cookie: { secure: false }
      })
      fastify.get('/login', async ({ session }) => { session.seen = 'login' })
      fastify.get('/socket', {
        websocket: true,
        preValidation: async ({ session }, reply) => {
          if (session.seen === undefined) return reply.code(401).send('log in first')
        }
      }, ({ socket }) => { socket.send('welcome') })
    }
  })
  t.match(await refused(t, `${origin}/socket`), { statusCode: 401, body: 'log in first' })
  const client = await connect(t, `${origin}/socket`, { headers: await login(origin) })
  t.equal(await client.nextText(), 'welcome')
})

test('signed cookies of @fastify/cookie are read from an upgrade and set on its 101', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.register(cookie, { secret: 'a secret for tests' })
      fastify.addHook('onRequest', async (_request, reply) => {
        reply.setCookie('theme', 'dark', { signed: true }).setCookie('other', '1')
      })
      fastify.get('/theme', { websocket: true }, ({ socket }, _req, request) => {
        const { theme = '' } = request.cookies
        socket.send(JSON.stringify(request.unsignCookie(theme)))
      })
    }
  })
  const first = await connect(t, `${origin}/theme`)
  t.match(JSON.parse(await first.nextText()), { valid: false })
  t.match(first.headers['set-cookie'], [/^theme=dark\./, /^other=1;/])
  const headers = { cookie: cookieOf(first.headers) }
  const again = await connect(t, `${origin}/theme`, { headers })
  t.match(JSON.parse(decodeURIComponent(await again.nextText())), { valid: true, value: 'dark' })
})
