/**
 * What a client sends in a work, and the answer that it expects. An exchange has
 *
 *   opening          the bytes before the first message, or null
 *   extension        the extension that `opening` asks for, if there is one
 *   message          the bytes of one message, the same for each message of the work
 *   createCounter()  a counter of answer bytes, cheap enough for the time of the measurement
 *   isComplete()     whether some bytes are the whole answer to one message
 *   check()          throws unless such an answer is right, and returns its length for the counter
 */

import { randomBytes, randomInt } from 'node:crypto'
import { deflate, inflate } from '../lib/deflate.js'
import {
  BINARY, decodeFrames, FrameCounter, isWhole, maskedMessage, randomKey, TEXT, ZERO_KEY
} from '../lib/frames.js'
import { headLength, upgradeRequest } from '../lib/handshake.js'

/** Letters that have the same length in UTF-8. */
const ALPHABETS = {
  ascii: 'abcdefghijklmnopqrstuvwxyz',
  cyrillic: 'абвгдежзийклмнопрстуфхцчшщъыьэюя'
}

export function createExchange (work) {
  if (work.protocol === 'http') return httpExchange()
  return work.extension === undefined ? websocketExchange(work) : compressedExchange(work)
}

function websocketExchange (work) {
  const { size, alphabet, isJson, replies, protocol, isUnmasked, fragments } = work
  const opcode = alphabet === undefined ? BINARY : TEXT
  const payload = createPayload(size, ALPHABETS[alphabet], isJson)
  const expected = Buffer.concat(Array(replies).fill(payload))
  const key = isUnmasked ? ZERO_KEY : randomKey()
  return {
    opening: protocol === 'websocket' ? upgradeRequest('/echo') : null,
    message: maskedMessage(payload, opcode, { key, fragments }),
    createCounter: () => new FrameCounter(opcode),
    isComplete: (answer) => new FrameCounter(opcode).count(answer) >= expected.length,
    check (answer) {
      const content = decodeFrames(answer, opcode)
      if (!content.equals(expected)) throw new Error('the answer has other content')
      return expected.length
    }
  }
}

/**
 * The server compresses its answer as well, to a length that nothing promises: frames count. The
 * first answer of a connection is the one that is checked, so it refers to no earlier one.
 */
function compressedExchange ({ size, alphabet, extension }) {
  const payload = randomText(size, ALPHABETS[alphabet])
  return {
    opening: upgradeRequest('/echo', extension),
    extension,
    message: maskedMessage(deflate(payload), TEXT, { isCompressed: true }),
    createCounter: () => new FrameCounter(TEXT, { countsFrames: true }),
    isComplete: isWhole,
    check (answer) {
      const content = inflate(decodeFrames(answer, TEXT))
      if (!content.equals(payload)) throw new Error('the answer has other content')
      return 1
    }
  }
}

function createPayload (size, letters, isJson) {
  if (letters === undefined) return randomBytes(size)
  if (isJson !== true) return randomText(size, letters)
  const [before, after] = ['{"type":"say","room":1,"text":"', '"}']
  const text = randomText(size - before.length - after.length, letters)
  return Buffer.concat([Buffer.from(before), text, Buffer.from(after)])
}

/** `size` bytes of random letters in UTF-8. */
function randomText (size, letters) {
  const count = size / Buffer.byteLength(letters[0])
  const text = Array.from({ length: count }, () => letters[randomInt(letters.length)])
  return Buffer.from(text.join(''))
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

/** Bytes of an HTTP response with a Content-Length; Infinity if the end of its head is missing. */
function responseLength (data) {
  const end = headLength(data)
  const length = /content-length: (\d+)/i.exec(data.toString('latin1', 0, end))
  return end === 0 ? Infinity : end + Number(length?.[1])
}
