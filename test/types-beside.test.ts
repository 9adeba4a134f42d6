// The types of this package and those of @fastify/websocket in one program. Both add to the types
// of Fastify, under the same names, so this program is compiled apart from all others.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test, type Test } from 'tap'
import { Document, unquote } from './helpers/documents'
import { ROOT } from './helpers/program'

const COMPILERS = {
  'TypeScript 6': join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc6'),
  'TypeScript 7': join(ROOT, 'node_modules', '@typescript', 'native', 'bin', 'tsc')
}

const OURS = `
import Fastify from 'fastify'
import fastifyWebsocket, { compatible, native } from 'fastify-websocket'

const fastify = Fastify()

fastify.register(async (scope) => {
  scope.register(fastifyWebsocket)
  scope.get('/get', { websocket: true }, native((connection, req, request) => {
    connection.socket.send(String(req.url) + request.id)
  }))
  scope.get('/limits', { websocket: { maxPayload: 1 } }, native(({ socket }) => { socket.close() }))
  scope.get('/params', { websocket: true }, native<{ Params: { id: string } }>(
    ({ socket }, req, request) => { socket.send(request.params.id) }
  ))
  scope.route({
    method: 'GET', url: '/full', websocket: true,
    handler: native((connection) => { connection.end() })
  })
  scope.route({
    method: 'GET', url: '/both', handler: async () => 'plain',
    wsHandler: native((connection) => { connection.end() })
  })
})

fastify.register(async (scope) => {
  scope.register(fastifyWebsocket, {
    compatible: '@fastify/websocket',
    handle: (socket, request) => { socket.send(request.id) },
    errorHandler: (error, socket, request, reply) => {
      socket.close(4000, error.message + request.id + reply.statusCode)
    },
    preClose: async () => {}
  })
  scope.get('/get', { websocket: true }, compatible((socket, request) => {
    socket.send(request.id)
  }))
  scope.get('/params', { websocket: true }, compatible<{ Params: { id: string } }>(
    (socket, request) => { socket.send(request.params.id) }
  ))
  scope.route({
    method: 'GET', url: '/full', websocket: true,
    handler: compatible((socket) => { socket.close() })
  })
  scope.route({
    method: 'GET', url: '/both', handler: async () => 'plain',
    wsHandler: compatible((socket) => { socket.close() })
  })
})

// @ts-expect-error: a plain registration gives the connection first
fastify.get('/', { websocket: true }, native((socket: string) => {}))
// @ts-expect-error: there is no third argument
fastify.get('/', { websocket: true }, compatible((socket, request, more) => {}))
// @ts-expect-error: it is an option beside \`compatible\`
fastify.register(fastifyWebsocket, { preClose: async () => {} })
// @ts-expect-error: there is no other package to be compatible with
fastify.register(fastifyWebsocket, { compatible: 'express-ws' })
`

const BOTH = `import foreign from '@fastify/websocket'${OURS}
fastify.register(foreign, { errorHandler: (error, socket) => { socket.terminate() } })
`

/** The codes of all errors that a compiler has for a program, each once. */
function compile (t: Test, compiler: string, program: string, skipLibCheck: boolean): string[] {
  const compilerOptions = {
    target: 'es2022',
    module: 'node16',
    strict: true,
    noEmit: true,
    types: ['node'],
    skipLibCheck,
    paths: { 'fastify-websocket': [join(ROOT, 'dist', 'index.d.ts')] }
  }
  const folder = t.testdir({
    'program.ts': program,
    'tsconfig.json': JSON.stringify({ files: ['program.ts'], compilerOptions })
  })
  // tap wraps `spawnSync` to load itself by NODE_OPTIONS. With that, TypeScript 7 does not start.
  const args = ['-u', 'NODE_OPTIONS', process.execPath, compiler, '-p', folder]
  const { status, stdout, stderr } = spawnSync('env', args, { encoding: 'utf8' })
  // A compiler that has not run has no errors to tell of.
  t.equal(status === 0, stdout === '', stderr)
  return [...new Set(stdout.match(/\bTS\d+\b/g))].sort()
}

for (const [name, compiler] of Object.entries(COMPILERS)) {
  test(`${name} checks what the adapters get, without skipLibCheck`, async (t) => {
    t.strictSame(compile(t, compiler, OURS, false), [])
  })
}

// Of both packages, TypeScript 6 says the same as TypeScript 7, and takes a minute for it.

test('the adapters work beside the types of @fastify/websocket', async (t) => {
  t.strictSame(compile(t, COMPILERS['TypeScript 7'], BOTH, true), [])
})

test('of both packages, skipLibCheck: false reports what the page on moving says', async (t) => {
  const documented = new Document('docs/migration.md').rows('`skipLibCheck: false` reports')
  const codes = documented.map(([code]) => unquote(code)).sort()
  t.strictSame(compile(t, COMPILERS['TypeScript 7'], BOTH, false), codes)
})
