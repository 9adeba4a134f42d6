/**
 * When `maxBackpressure` is checked: after the turn of the event loop in which a connection sent
 * more, not in `send`. The check itself and the close with 1013 are in `outbox.ts`.
 */
import { onNextTurn } from './next-turn'

/** A connection whose peer may be too far behind. */
export interface Suspect {
  /** Closes the connection if its peer is too far behind. */
  closeIfTooSlow (): void
}

let suspects = new Set<Suspect>()

/**
 * Checks a connection after the current turn of the event loop. Before that, data may be unsent
 * only because the tick keeps it back or TLS has not encrypted it yet: the peer may be fast enough.
 */
export function suspect (connection: Suspect): void {
  if (suspects.size === 0) onNextTurn(judgeSuspects)
  suspects.add(connection)
}

function judgeSuspects (): void {
  const connections = suspects
  suspects = new Set()
  for (const connection of connections) connection.closeIfTooSlow()
}
