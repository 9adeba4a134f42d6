import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, totalmem } from 'node:os'

const PACKAGES = ['fastify', 'ws', '@fastify/websocket', '@httptoolkit/websocket-stream']

/** A core each for the server and the client, or null where processes cannot be pinned to two. */
export function findCores () {
  try {
    const status = readFileSync('/proc/self/status', 'latin1')
    const cores = expandList(/^Cpus_allowed_list:\s*(\S+)/m.exec(status)[1])
    if (cores.length < 2) return null
    execFileSync('taskset', ['--version'], { stdio: 'ignore' })
    // The first one is where systems tend to have their own work.
    return { server: cores.at(-1), client: cores.at(-2) }
  } catch {
    return null
  }
}

/** The numbers of a list such as `0-3,8`. */
function expandList (list) {
  return list.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, i) => first + i)
  })
}

export function describeMachine () {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    platform: `${process.platform} ${process.arch}`,
    node: process.version
  }
}

/** Versions of what is compared; `ws (ours)` is the one below our build. */
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
