/** Reads on when ws has shown the frame that it got last; see `frame-reader.ts`. */
import { show } from './handover'
import { nextTick } from './next-tick'
import { kReader, type ReadSocket, type Transport } from './read-socket'
import { kReadState } from './symbols'
import { Unfinished } from './unfinished'

/** ws has emitted a message, a ping or a pong of a socket. */
export function onShown (socket: ReadSocket): void {
  show(socket)
  const state = socket[kReadState]
  if (!(state instanceof Unfinished) || !state.isWaiting) return
  state.isWaiting = false
  // On the next tick, when ws has finished with the frame.
  nextTick(readOn, socket, state)
}

function readOn (socket: ReadSocket, unfinished: Unfinished): void {
  // A reader keeps bytes of its own transports only.
  const transport = unfinished.transport as Transport
  transport[kReader].readOn(socket, unfinished)
}
