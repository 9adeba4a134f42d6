/**
 * What an inbox does with messages that have no reader, as a pure function: it lets them flow,
 * holds the transport, or drops them. An empty cell means that the column does not matter.
 *
 * | demand | over the bound | paused by the application | worth waiting | verdict |
 * |--------|----------------|---------------------------|---------------|---------|
 * | full   |                |                           |               | hold    |
 * | room   |                |                           |               | flow    |
 * | none   | no             |                           |               | flow    |
 * | none   | yes            | yes                       |               | flow    |
 * | none   | yes            | no                        | yes           | wait    |
 * | none   | yes            | no                        | no            | drop    |
 *
 * - `demand` is that of the readers: there is none, it has room, or its stream is full.
 * - "Over the bound" means that unread messages weigh `highWaterMark` or more.
 * - "Worth waiting" means that the handler still runs, so that it may read soon, that
 *   `pauseTimeout` has not passed, and that this side is not closing the connection.
 */

/** What the readers of a connection want. */
export type Demand = 'none' | 'room' | 'full'

/**
 * - `flow`: the inbox does not pause the transport, and unread messages are kept.
 * - `hold`: the transport is paused until the stream has room.
 * - `wait`: the transport is paused until there is a reader, for `pauseTimeout` at most.
 * - `drop`: unread messages are thrown away, and so are those that follow until there is a reader.
 *   While the connection closes, those that were kept stay readable.
 */
export type Verdict = 'flow' | 'hold' | 'wait' | 'drop'

/** See the table in the header of this file. */
export function judge (
  demand: Demand, isOverBound: boolean, isPausedByUser: boolean, isWorthWaiting: boolean
): Verdict {
  if (demand === 'full') return 'hold'
  if (demand === 'room' || !isOverBound || isPausedByUser) return 'flow'
  return isWorthWaiting ? 'wait' : 'drop'
}
