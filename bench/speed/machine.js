import { createRequire } from 'node:module'
import { cpus, totalmem } from 'node:os'

const PACKAGES = ['fastify', 'ws', '@fastify/websocket', '@httptoolkit/websocket-stream']

export function describeMachine () {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    platform: `${process.platform} ${process.arch}`,
    node: process.version
  }
}

/** Versions of this package and the peers. `ws (ours)` is the ws that this package runs on. */
export function findVersions () {
  const peers = createRequire(import.meta.url)
  const ours = createRequire(new URL('../../package.json', import.meta.url))
  const versions = Object.fromEntries(PACKAGES.map((name) => [name, versionOf(peers, name)]))
  return {
    'fastify-websocket': versionOf(ours, './package.json'),
    'ws (ours)': versionOf(ours, 'ws/package.json'),
    ...versions
  }
}

function versionOf (require, name) {
  return require(name.endsWith('.json') ? name : `${name}/package.json`).version
}
