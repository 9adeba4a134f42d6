// What `npm pack` makes of `dist`, as a user gets it. `npm run build` comes first.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { test } from 'tap'
import { ROOT, run } from '../helpers/program'
import type { Teardown } from '../helpers/servers'

// It installs from the registry.
t.setTimeout(120_000)

const TSC = join(ROOT, 'node_modules', '@typescript', 'native', 'bin', 'tsc')

const CONSUMER_OPTIONS = {
  target: 'es2022',
  strict: true,
  noEmitOnError: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: true,
  types: ['node']
}

/** Checks the ways to import, then echoes one message. `load` binds what it loads to `names`. */
function createProgram (load: string): string {
  return `${load}
const fastify = Fastify()
fastify.register(fastifyWebsocket, { handle: (connection) => { connection.pipe(connection) } })
fastify.listen({ port: 0, host: '127.0.0.1' }).then((address) => {
  const client = new WebSocket(address.replace('http', 'ws'))
  client.on('open', () => { client.send('it works') })
  client.on('message', (message) => {
    console.log(String(message))
    client.close()
    fastify.close()
  })
})
`
}

const COMMONJS = createProgram(`
const { WebSocket } = require('ws')
const Fastify = require('fastify')
const fastifyWebsocket = require('fastify-websocket')
const names = require('fastify-websocket')
console.log(names.default === fastifyWebsocket, names.fastifyWebsocket === fastifyWebsocket)`)

const ESM = createProgram(`
import { WebSocket } from 'ws'
import { fastify as Fastify } from 'fastify'
import fastifyWebsocket, { fastifyWebsocket as named } from 'fastify-websocket'
import * as names from 'fastify-websocket'
console.log(names.default === fastifyWebsocket, named === fastifyWebsocket)`)

const TYPED = createProgram(`
import { WebSocket } from 'ws'
import { fastify as Fastify } from 'fastify'
import fastifyWebsocket, { fastifyWebsocket as named, createServer } from 'fastify-websocket'
import type {
  SocketStream, StreamSocket, WebSocketStreamServer, WebSocketStreamServerOptions,
  WebsocketHandler, WebsocketPluginOptions
} from 'fastify-websocket'
console.log(typeof createServer === 'function', named === fastifyWebsocket)

const create: (options?: WebSocketStreamServerOptions) => WebSocketStreamServer = createServer
const handle: WebsocketHandler = (connection: SocketStream, req, request) => {
  const socket: StreamSocket = connection.socket
  const id: string = request.id
  // @ts-expect-error: a header is a string or missing
  const host: number = req.headers.host
  socket.on('message', (message: string | Buffer, isBinary: boolean) => {})
}
const options: WebsocketPluginOptions = { handle, options: { objectMode: true, port: 80 } }
// @ts-expect-error: a handler is a function
const wrong: WebsocketPluginOptions = { handle: 'echo' }
Fastify().get('/', { websocket: true }, (connection) => { connection.socket.send('hello') })
`)

const TYPED_REQUIRE = createProgram(`
import ws = require('ws')
import Fastify = require('fastify')
import fastifyWebsocket = require('fastify-websocket')
const { WebSocket } = ws
const named = fastifyWebsocket.fastifyWebsocket
console.log(fastifyWebsocket.default === fastifyWebsocket, named === fastifyWebsocket)
const stream = (connection: fastifyWebsocket.SocketStream) => connection.socket.readyState`)

const OUTPUT = 'true true\nit works\n'

/** A folder outside of the project, removed with the test. */
async function createFolder (t: Teardown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'fastify-websocket-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Makes the tarball, in a folder. */
async function pack (
  t: Teardown, folder: string
): Promise<{ filename: string, paths: string[] }> {
  // Other tests read `dist` while this one runs, so it is not built again.
  const args = ['pack', '--json', '--silent', '--ignore-scripts', '--pack-destination', folder]
  const [packed] = JSON.parse(await run(t, 'npm', args))
  return {
    filename: packed.filename,
    paths: packed.files.map(({ path }: { path: string }) => path)
  }
}

/** All that a build of `src` makes. */
async function builtPaths (): Promise<string[]> {
  const sources = await readdir(join(ROOT, 'src'), { recursive: true })
  return sources
    .filter((path) => path.endsWith('.ts'))
    .map((path) => `dist/${path.slice(0, -'.ts'.length)}`)
    .flatMap((path) => [`${path}.js`, `${path}.d.ts`, `${path}.js.map`])
}

test('the package holds the build, its description and its licence, and no more', async (t) => {
  const { paths } = await pack(t, await createFolder(t))
  const entries = ['package.json', 'nats/package.json', 'redis/package.json']
  const expected = ['LICENSE', 'README.md', ...entries, ...await builtPaths()]
  t.same(paths.sort(), expected.sort())
})

test('source maps hold their sources, which are not in the package', async (t) => {
  const map = JSON.parse(await readFile(join(ROOT, 'dist', 'plugin.js.map'), 'utf8'))
  t.same(map.sourcesContent, [await readFile(join(ROOT, 'src', 'plugin.ts'), 'utf8')])
})

test('all ways to load it in this project give the same function', async (t) => {
  const folder = t.testdir({ 'commonjs.cjs': COMMONJS, 'esm.mjs': ESM })
  for (const name of ['commonjs.cjs', 'esm.mjs']) {
    t.equal(await run(t, process.execPath, [join(folder, name)]), OUTPUT, name)
  }
})

test('the tarball works in an empty folder', async (t) => {
  const folder = await createFolder(t)
  const { filename } = await pack(t, folder)
  const { version } = require('fastify/package.json')
  const args = ['install', '--silent', '--prefer-offline', '--no-audit', '--no-fund']
  await run(t, 'npm', [...args, filename, `fastify@${version}`], { cwd: folder })

  const runFile = (name: string): Promise<string> => {
    return run(t, process.execPath, [name], { cwd: folder })
  }
  const compile = async (file: string, source: string, options: object): Promise<void> => {
    const config = { files: [file], compilerOptions: { ...CONSUMER_OPTIONS, ...options } }
    await writeFile(join(folder, file), source)
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config))
    await run(t, process.execPath, [TSC, '-p', folder])
  }

  await t.test('from CommonJS', async (t) => {
    await writeFile(join(folder, 'commonjs.cjs'), COMMONJS)
    t.equal(await runFile('commonjs.cjs'), OUTPUT)
  })

  await t.test('from an ES module', async (t) => {
    await writeFile(join(folder, 'esm.mjs'), ESM)
    t.equal(await runFile('esm.mjs'), OUTPUT)
  })

  await t.test('from TypeScript as an ES module, resolved as Node.js does', async (t) => {
    await compile('module.mts', TYPED, { module: 'node16' })
    t.equal(await runFile('module.mjs'), OUTPUT)
  })

  await t.test('from TypeScript as CommonJS, resolved as Node.js does', async (t) => {
    await compile('script.cts', TYPED, { module: 'node16' })
    t.equal(await runFile('script.cjs'), OUTPUT)
  })

  await t.test('from TypeScript with `import = require()`', async (t) => {
    await compile('require.cts', TYPED_REQUIRE, { module: 'node16' })
    t.equal(await runFile('require.cjs'), OUTPUT)
  })

  await t.test('from TypeScript, resolved as a bundler does', async (t) => {
    await compile('bundled.mts', TYPED, { module: 'es2022', moduleResolution: 'bundler' })
    t.equal(await runFile('bundled.mjs'), OUTPUT)
  })
})
