import { randomBytes } from 'node:crypto'
import { decodeFrames, FrameCounter, maskedFrame, randomKey, ZERO_KEY } from '../lib/frames.js'

const HEAD_END = '\r\n\r\n'

/**
 * What a client of a work says and what it expects. `opening` goes before the first message, or is
 * null. `check` throws unless `answer`, all the bytes that came for one message, is right, and
 * returns what such an answer adds to a counter.
 */
export function createExchange (work) {
  return work.protocol === 'http' ? httpExchange() : websocketExchange(work)
}

/** The head of a WebSocket handshake, as short as it can be. */
export function upgradeRequest (path) {
  const lines = [
    `GET ${path} HTTP/1.1`,
    'Host: localhost',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
  ]
  return Buffer.from(lines.join('\r\n') + HEAD_END)
}

function websocketExchange ({ size, replies, protocol, isUnmasked }) {
  const payload = randomBytes(size)
  const expected = Buffer.concat(Array(replies).fill(payload))
  return {
    opening: protocol === 'websocket' ? upgradeRequest('/echo') : null,
    message: maskedFrame(payload, isUnmasked ? ZERO_KEY : randomKey()),
    createCounter: () => new FrameCounter(),
    isComplete: (answer) => new FrameCounter().count(answer) >= expected.length,
    check (answer) {
      if (!decodeFrames(answer).equals(expected)) throw new Error('the answer has other content')
      return expected.length
    }
  }
}

function httpExchange () {
  return {
    opening: null,
    message: Buffer.from('GET /plain HTTP/1.1\r\nHost: localhost\r\n\r\n'),
    createCounter: () => ({ count: (chunk) => chunk.length }),
    isComplete: (answer) => answer.length >= responseLength(answer),
    check (answer) {
      if (!answer.includes('HTTP/1.1 200 OK')) throw new Error('the answer is not 200')
      if (!answer.toString().endsWith('{"hello":"world"}')) throw new Error('wrong body')
      return answer.length
    }
  }
}

/** Bytes of an HTTP response with a Content-Length, or Infinity as long as its head is cut. */
function responseLength (data) {
  const end = headLength(data)
  const length = /content-length: (\d+)/i.exec(data.toString('latin1', 0, end))
  return end === 0 ? Infinity : end + Number(length?.[1])
}

/** Bytes of the head that `data` begins with, or 0 if it is cut. */
export function headLength (data) {
  const end = data.indexOf(HEAD_END)
  return end === -1 ? 0 : end + HEAD_END.length
}
