import { existsSync } from 'node:fs'
import { delimiter, isAbsolute, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const OUR_BUILD = new URL('../../dist/index.js', import.meta.url).href

const LOCAL_PROGRAMS = fileURLToPath(new URL('../node_modules/.bin', import.meta.url))

/**
 * The servers that are compared, by their names on the command line. `label` is the name in the
 * report; `module` is the file in this folder that starts the server, with `options`; `runtime` is
 * the program that it runs on, if that is not Node.js.
 */
const peers = {
  ours: { label: 'fastify-websocket', module: 'ours', options: { build: OUR_BUILD } },
  'ours-json-by-hand': {
    label: 'by hand, in a listener',
    module: 'ours',
    options: { build: OUR_BUILD, isByHand: true }
  },
  '@fastify/websocket': { label: '@fastify/websocket', module: 'fastify-websocket' },
  ws: { label: 'ws', module: 'ws' },
  bun: { label: 'Bun, its own server', module: 'bun', runtime: 'bun' },
  'ws-stream': { label: 'ws createWebSocketStream', module: 'ws-stream' },
  'websocket-stream': { label: 'websocket-stream', module: 'websocket-stream' },
  'websocket-stream-objects': {
    label: 'websocket-stream, objectMode',
    module: 'websocket-stream',
    options: { objectMode: true }
  },
  tcp: { label: 'bare TCP, the limit', module: 'tcp' },
  fastify: { label: 'Fastify without a plugin', module: 'fastify' },
  'fastify-again': { label: 'the same, once more', module: 'fastify' }
}

/** Whether a peer is another build of this package, which is given by the path of its folder. */
export function isBuild (peer) {
  return peer.startsWith('.') || isAbsolute(peer)
}

export function isPeer (peer) {
  return peer in peers || isBuild(peer)
}

export function labelOf (peer) {
  return peers[peer]?.label ?? peer
}

/**
 * Starts a peer on a free port of 127.0.0.1 and resolves with its net.Server, or with another object
 * that has an `address()`.
 *
 * @param work the name of a handler, and the extension that clients ask for, if there is one
 */
export async function startPeer (peer, { handler, extension }) {
  const { module, options } = peers[peer] ?? { module: 'ours', options: { build: buildUrl(peer) } }
  const { start } = await import(`./${module}.js`)
  return await start(handler, { ...options, perMessageDeflate: extension !== undefined })
}

/** The program that a peer runs on, or null if it is not installed. */
export function runtimeOf (peer) {
  return peers[peer]?.runtime === undefined ? process.execPath : findProgram(peers[peer].runtime)
}

function findProgram (name) {
  const folders = [LOCAL_PROGRAMS, ...(process.env.PATH ?? '').split(delimiter)]
  return folders.map((folder) => join(folder, name)).find(existsSync) ?? null
}

function buildUrl (folder) {
  return pathToFileURL(resolve(folder, 'index.js')).href
}
