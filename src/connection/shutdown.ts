import type { UpgradeAnswer } from '../handshake/upgrade-answer'
import { CLOSE_GOING_AWAY } from '../protocol/close-codes'
import { onNextTurn } from '../stream/next-turn'
import { StreamSocket } from '../stream/socket'

/**
 * Turns of the event loop until a connection that was cut off is gone. It takes three, or some more
 * while ws inflates messages.
 */
const LAST_TURNS = 10

/**
 * Tells every client that the server goes away, with close code 1001, and resolves when all of
 * them and all undecided upgrades are gone. At `timeout` the rest is cut off. A connection that
 * does not report its end even then is not waited for.
 *
 * @param timeout in milliseconds
 */
export async function closeClients (
  sockets: Iterable<StreamSocket>, upgrades: Iterable<UpgradeAnswer>, timeout: number
): Promise<void> {
  const open = new Set(sockets)
  const undecided = new Set(upgrades)
  const gone = Promise.all([...[...open].map(untilClosed), ...[...undecided].map(untilAnswered)])
  for (const socket of open) socket.close(CLOSE_GOING_AWAY)

  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      for (const socket of open) socket.terminate()
      for (const upgrade of undecided) upgrade.abort()
      afterTurns(LAST_TURNS, resolve)
    }, timeout)
  })
  await Promise.race([gone, late])
  clearTimeout(timer)
}

function untilClosed (socket: StreamSocket): Promise<void> {
  return new Promise((resolve) => { StreamSocket.whenClosed(socket, resolve) })
}

function untilAnswered (upgrade: UpgradeAnswer): Promise<void> {
  return new Promise((resolve) => { upgrade.onceSettled(resolve) })
}

function afterTurns (count: number, callback: () => void): void {
  if (count === 0) callback()
  else onNextTurn(afterTurns, count - 1, callback)
}
