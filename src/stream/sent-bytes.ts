import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/**
 * An exception from public API, done without where it is missing: only here Node.js tells how much
 * is left of a write under way, and a large message to a slow peer is one write for minutes.
 */
interface Handle {
  /** What the system has got and what waits for it, together. */
  readonly bytesWritten?: number
  readonly writeQueueSize?: number
  /** Below TLS, which has encrypted it all at once. */
  readonly _parent?: Handle | null
}

/** What a `net.Socket` counts. */
interface Counters extends Pick<Socket, 'bytesWritten' | 'writableLength'> {
  readonly _handle?: Handle | null
}

/** How many bytes of what was written to a transport have left the process. */
export function sentBytes (transport: Duplex): number {
  // A Duplex that is no socket has none of the counters.
  const { bytesWritten = 0, writableLength, _handle } = transport as Duplex & Partial<Counters>
  const handle = _handle?._parent ?? _handle
  if (handle?.bytesWritten !== undefined && handle.writeQueueSize !== undefined) {
    return handle.bytesWritten - handle.writeQueueSize
  }
  // Of a transport that does not count, its buffer shrinks as bytes leave.
  return bytesWritten - writableLength
}
