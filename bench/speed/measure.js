/**
 * One run of a work with one peer. A work has a kind: `messages` and `upgrade` are measured by the
 * CPU time of the server process, `idle` by its memory. In every kind a warm-up comes before.
 */

import { withPair } from '../lib/pair.js'
import { runtimeOf } from '../peers/peers.js'

/** How much one run does. */
export const SIZES = {
  full: { warmUpSeconds: 0.7, seconds: 1.5, upgrades: 2_000, idle: 5_000 },
  quick: { warmUpSeconds: 0.3, seconds: 0.4, upgrades: 500, idle: 1_000 }
}

/** How many of the earlier connections of a work are open at the same time. */
const EARLIER_AT_ONCE = 500

/**
 * Resolves with the `value` of the run in the work's unit, and with its `rate`: messages, requests
 * or connections a second by the clock. Server and client are new processes in every run.
 *
 * @param cores the cores that the server and the client are pinned to, or null
 * @param size one of SIZES
 */
export async function measure (work, peer, cores, size) {
  const target = peer === 'tcp' ? { ...work, protocol: 'tcp' } : work
  const use = async (server, client) => {
    // On a core that it shares with the server, the client would only be in the way.
    if (cores !== null) await client.ask('stayAwake')
    const port = await server.ask('start', peer, work)
    return await kinds[work.kind](server, client, port, target, size)
  }
  return await withPair(import.meta.url, cores, use, runtimeOf(peer))
}

const kinds = {
  async messages (server, client, port, work, size) {
    await client.ask('open', port, work)
    await client.ask('verify')
    const warmRate = await client.ask('warmUp', size.warmUpSeconds)
    const count = Math.ceil(warmRate * size.seconds)
    await server.ask('collect')
    const before = await server.ask('cpu')
    const seconds = await client.ask('run', count)
    const used = await server.ask('cpu') - before
    const messages = count * work.replies
    return { value: used / messages, rate: messages / seconds }
  },

  async upgrade (server, client, port, work, { upgrades }) {
    await warmUpConnections(server, client, port, work)
    const before = await server.ask('cpu')
    const start = performance.now()
    await client.ask('open', port, { ...work, connections: upgrades })
    const seconds = (performance.now() - start) / 1000
    const used = await server.ask('cpu') - before
    return { value: used / upgrades, rate: upgrades / seconds }
  },

  async idle (server, client, port, work, { idle }) {
    await warmUpConnections(server, client, port, work)
    const before = await server.ask('memory')
    await client.ask('open', port, { ...work, connections: idle })
    const used = await server.ask('memory') - before
    return { value: used / idle, rate: null }
  }
}

async function warmUpConnections (server, client, port, work) {
  for (let count = 0; count < work.earlier; count += EARLIER_AT_ONCE) {
    await client.ask('open', port, { ...work, connections: EARLIER_AT_ONCE })
    await client.ask('verify')
    await client.ask('close')
    await server.ask('untilIdle')
  }
}
