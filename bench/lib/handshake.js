import { once } from 'node:events'
import { connectTo } from './loopback.js'

const HEAD_END = '\r\n\r\n'

/**
 * The head of a WebSocket handshake with the fewest headers (RFC 6455 section 4.1).
 *
 * @param extension an extension to ask for, or none
 */
export function upgradeRequest (path, extension) {
  const lines = [
    `GET ${path} HTTP/1.1`,
    'Host: localhost',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
  ]
  if (extension !== undefined) lines.push(`Sec-WebSocket-Extensions: ${extension}`)
  return Buffer.from(lines.join('\r\n') + HEAD_END)
}

/** Bytes of the HTTP head at the start of `data`, or 0 if its end has not come yet. */
export function headLength (data) {
  const end = data.indexOf(HEAD_END)
  return end === -1 ? 0 : end + HEAD_END.length
}

/**
 * Throws unless `answer` is a 101 response, and has no byte after its head.
 *
 * @param extension the extension that it must agree to; without one, it must agree to none
 */
export function checkUpgrade (answer, extension) {
  const head = answer.toString('latin1')
  if (!head.startsWith('HTTP/1.1 101 ')) throw new Error(`no upgrade: ${head}`)
  const agreed = /^sec-websocket-extensions: *(.*)$/im.exec(head)?.[1]
  if (!isAgreed(agreed, extension)) throw new Error(`the extension agreed to is ${agreed}`)
  if (headLength(answer) !== answer.length) throw new Error('the 101 response does not come alone')
}

/** The parameters may come in another order. */
function isAgreed (agreed, extension) {
  const [given, asked] = [agreed, extension].map((value) => value?.split('; ').sort().join())
  return given === asked
}

/** Resolves with a TCP socket on which the WebSocket handshake for `path` has succeeded. */
export async function openWebSocket (port, path) {
  const socket = connectTo(port)
  socket.write(upgradeRequest(path))
  const [answer] = await once(socket, 'data')
  checkUpgrade(answer)
  return socket
}
