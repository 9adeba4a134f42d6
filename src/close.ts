import type { WebSocket } from 'ws'
import type { UpgradeAnswer } from './response'
import { CLOSE_GOING_AWAY } from './stream/close-codes'

/**
 * Tells every client that the server goes away, with close code 1001, and resolves when all of
 * them and all undecided upgrades are gone. Those that are not by `timeout` are cut off.
 *
 * @param timeout in milliseconds
 */
export async function closeClients (
  sockets: Iterable<WebSocket>, upgrades: Iterable<UpgradeAnswer>, timeout: number
): Promise<void> {
  const open = new Set(sockets)
  const undecided = new Set(upgrades)
  const closed = [...open].map((socket) => untilClosed(socket))
  const decided = [...undecided].map((upgrade) => untilSettled(upgrade))
  for (const socket of open) socket.close(CLOSE_GOING_AWAY)

  const timer = setTimeout(() => {
    for (const socket of open) socket.terminate()
    for (const upgrade of undecided) upgrade.abort()
  }, timeout)
  await Promise.all([...closed, ...decided])
  clearTimeout(timer)
}

function untilClosed (socket: WebSocket): Promise<void> {
  return new Promise((resolve) => { socket.once('close', () => { resolve() }) })
}

function untilSettled (upgrade: UpgradeAnswer): Promise<void> {
  return new Promise((resolve) => { upgrade.onceSettled(resolve) })
}
