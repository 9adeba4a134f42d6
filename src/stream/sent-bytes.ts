/** How many of the bytes written to a transport have left the process, and when all have left. */
import type { Socket } from 'node:net'
import { finished, type Duplex } from 'node:stream'

/**
 * A private part of a socket of Node.js, which may be missing. Only here Node.js tells how much of
 * a write has left before the write is complete. A large message to a slow peer is one write that
 * may take minutes.
 */
interface Handle {
  /** Bytes that the system has got and bytes that wait for it, together. */
  readonly bytesWritten?: number
  readonly writeQueueSize?: number
  /** The handle below that of TLS: that of TLS takes all bytes at once, so its count is useless. */
  readonly _parent?: Handle | null
}

/** The counters of a `net.Socket`. */
interface Counters extends Pick<
  Socket, 'bytesRead' | 'bytesWritten' | 'readableLength' | 'writableLength'
> {
  readonly _handle?: Handle | null
}

/**
 * How many of the bytes written to a transport have left the process. For a transport without
 * counters the number is negative, and only its growth means something.
 */
export function sentBytes (transport: Duplex): number {
  // A Duplex that is no socket has none of the counters.
  const { bytesWritten = 0, writableLength, _handle } = transport as Duplex & Partial<Counters>
  const handle = _handle?._parent ?? _handle
  if (handle?.bytesWritten !== undefined && handle.writeQueueSize !== undefined) {
    return handle.bytesWritten - handle.writeQueueSize
  }
  // Without counters: the buffer shrinks as bytes leave.
  return bytesWritten - writableLength
}

/** The bytes read from a transport and written to it; 0 if the transport does not count. */
export function countedBytes (transport: Duplex | null): { received: number, sent: number } {
  if (transport === null || !('bytesRead' in transport)) return { received: 0, sent: 0 }
  // The types do not know which Duplex is a socket.
  const { bytesRead, bytesWritten, readableLength } = transport as Duplex & Counters
  return { received: bytesRead - readableLength, sent: bytesWritten }
}

/**
 * How many bytes have gone through a transport; the number grows while the peer lives. It is NaN
 * for a transport that does not count: NaN is not equal to itself, so that such a transport always
 * counts as alive.
 */
export function progressOf (transport: Duplex | null): number {
  if (transport === null) return NaN
  // A Duplex that is no socket has no counter.
  const { bytesRead = NaN, writableLength } = transport as Duplex & Partial<Counters>
  // A ping leaves even if the peer is dead. Only bytes that had to wait first show that it reads.
  return writableLength === 0 ? bytesRead : bytesRead + sentBytes(transport)
}

const EMPTY = Buffer.alloc(0)

/** Calls back when all that was written to a transport has left the process, if it does. */
export function onceWritten (transport: Duplex | null, callback: () => void): void {
  if (transport?.writableEnded === true) {
    // ws has ended the transport, because the peer ended first: nothing more may be written.
    const stop = finished(transport, { readable: false }, (error) => {
      // Without this call, Node.js leaves its listeners on the transport.
      stop()
      if (error == null) callback()
    })
    return
  }
  // An empty chunk is written in order, so its callback comes when all before it is out. It also
  // comes when the transport is destroyed, on Node.js 20 without an error.
  transport?.write(EMPTY, (error) => {
    if (error == null && !transport.destroyed) callback()
  })
}
