import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Teardown } from './servers'
import { connectTo, isUsual } from './transports'

/**
 * The head of a valid upgrade request; `lines` are added to it, or replace the header of
 * their name.
 */
export function upgradeHead (path: string, lines: Record<string, string> = {}): string {
  const headers = {
    Host: 'localhost',
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    ...lines
  }
  const list = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `GET ${path} HTTP/1.1\r\n${list.join('')}\r\n`
}

/** A masked client frame, with a payload shorter than 126 bytes and `first` as its first byte. */
export function frame (first: number, payload: string | Buffer = ''): Buffer {
  const data = Buffer.from(payload)
  // A mask of zeros leaves the payload as it is.
  return Buffer.concat([Buffer.from([first, 0x80 | data.length, 0, 0, 0, 0]), data])
}

/** Has a client that is paused read `bytes` more, and then nothing. */
export async function readSome ({ socket }: RawClient, bytes: number): Promise<void> {
  const wanted = socket.bytesRead + bytes
  socket.resume()
  while (socket.bytesRead < wanted) await once(socket, 'data')
  socket.pause()
}

/** A TCP connection that keeps all it receives, cut off with the test. */
export class RawClient {
  readonly socket: Socket
  readonly closed: Promise<unknown>
  received = Buffer.alloc(0)

  /** @param socket connected to the port, where that takes more than TCP */
  constructor (t: Teardown, port: number, socket = connectTo(port)) {
    this.socket = socket
    this.socket.on('data', (chunk) => { this.received = Buffer.concat([this.received, chunk]) })
    this.socket.on('error', () => {})
    // Not `once` of node:events, which rejects on an `error` that comes before.
    this.closed = new Promise((resolve) => { this.socket.once('close', resolve) })
    t.teardown(() => { this.socket.destroy() })
  }

  write (data: string | Buffer): void {
    this.socket.write(data)
  }

  /** Leaves at once: by a reset where the transport lets a client send one. */
  reset (): void {
    // TLS has none, and over HTTP/2 the end of a stream is one already.
    if (isUsual()) this.socket.resetAndDestroy()
    else this.socket.destroy()
  }

  /** Waits until what was received, as Latin-1 text, holds `text`. */
  async until (text: string): Promise<string> {
    while (!this.received.toString('latin1').includes(text)) await once(this.socket, 'data')
    return this.received.toString('latin1')
  }
}
