import { IncomingMessage } from 'node:http'
import { Duplex } from 'node:stream'

const HEADERS = {
  host: 'localhost',
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ=='
}

/**
 * The server's end of a connection that has no network: `push` brings bytes, and what the server
 * writes is counted.
 */
export class Transport extends Duplex {
  /** What the server wrote first: its answer to the upgrade request. */
  head = null
  /** Bytes that the server wrote. */
  written = 0

  // What ws and the package call of a net.Socket.
  setTimeout () { return this }
  setNoDelay () { return this }

  _read () {}

  _write (chunk, _encoding, callback) {
    this.#count(chunk)
    callback()
  }

  _writev (chunks, callback) {
    for (const { chunk } of chunks) this.#count(chunk)
    callback()
  }

  #count (chunk) {
    this.head ??= chunk
    this.written += chunk.length
  }

  /** Makes the WebSocket handshake for `path` with a server. */
  upgrade (server, path) {
    const request = new IncomingMessage(this)
    Object.assign(request, {
      method: 'GET',
      url: path,
      httpVersion: '1.1',
      httpVersionMajor: 1,
      httpVersionMinor: 1,
      headers: HEADERS,
      rawHeaders: Object.entries(HEADERS).flat()
    })
    server.emit('upgrade', request, this, Buffer.alloc(0))
  }
}
