import type { Duplex } from 'node:stream'
import { sentBytes } from '../stream/sent-bytes'

/** Milliseconds within which at least one byte of an answer has to leave the process. */
const PROGRESS_TIMEOUT = 10_000

/**
 * Destroys a socket when no byte has left it for 10 seconds while `isWaiting` is true. Returns a
 * function that ends this watch.
 */
export function cutOffWithoutProgress (socket: Duplex, isWaiting: () => boolean): () => void {
  let before = sentBytes(socket)
  const timer = setInterval(() => {
    const now = sentBytes(socket)
    if (now === before && isWaiting()) socket.destroy()
    before = now
  }, PROGRESS_TIMEOUT).unref()
  return () => { clearInterval(timer) }
}
