import {
  applyMask, BINARY, CLOSE, CONTINUATION, isUtf8, PING, PONG, TEXT, type Frame
} from './frames'

/** Close codes of RFC 6455 section 7.4.1 for what a peer does wrong. */
const PROTOCOL_ERROR = 1002
const INVALID_TEXT = 1007
const TOO_LARGE = 1009

/** What breaks a rule, and the close code that says so. */
class Violation extends Error {
  constructor (readonly code: number) {
    super(`violation: ${code}`)
  }
}

interface Header {
  readonly isFinal: boolean
  readonly opcode: number
  readonly length: bigint
  readonly mask: Uint8Array
}

/**
 * What a server that echoes messages answers to any bytes behind the handshake, from RFC 6455
 * alone: echoes, pongs, and a close frame if the client has closed or has broken a rule.
 *
 * @param maxPayload longest message in bytes
 */
export function answerTo (bytes: Buffer, maxPayload: number): Frame[] {
  const answers: Frame[] = []
  try {
    answerAll(new Bytes(bytes), maxPayload, answers)
  } catch (error) {
    if (!(error instanceof Violation)) throw error
    answers.push({ opcode: CLOSE, payload: Buffer.of(error.code >> 8, error.code & 0xff) })
  }
  return answers
}

function answerAll (bytes: Bytes, maxPayload: number, answers: Frame[]): void {
  let message: { opcode: number, parts: Buffer[], length: bigint } | null = null
  while (true) {
    const header = readHeader(bytes, message !== null, (length) => {
      if (length + (message?.length ?? 0n) > BigInt(maxPayload)) throw new Violation(TOO_LARGE)
    })
    const payload = header === null ? null : bytes.take(Number(header.length))
    if (header === null || payload === null) return
    const { isFinal, opcode, mask, length } = header
    const data = applyMask(payload, mask)

    if (opcode === CLOSE) {
      answers.push({ opcode: CLOSE, payload: checkClose(data) })
      return
    }
    if (opcode === PING) answers.push({ opcode: PONG, payload: data })
    if (opcode === PING || opcode === PONG) continue

    message ??= { opcode, parts: [], length: 0n }
    message.parts.push(data)
    message.length += length
    if (!isFinal) continue
    const whole = Buffer.concat(message.parts)
    if (message.opcode === TEXT && !isUtf8(whole)) throw new Violation(INVALID_TEXT)
    answers.push({ opcode: message.opcode, payload: whole })
    message = null
  }
}

/** Null if it has not come whole. */
function readHeader (
  bytes: Bytes, isInMessage: boolean, checkLength: (length: bigint) => void
): Header | null {
  const start = bytes.take(2)
  if (start === null) return null
  const [first = 0, second = 0] = start
  const isFinal = (first & 0x80) !== 0
  const opcode = first & 0x0f
  const shortLength = second & 0x7f
  if ((first & 0x70) !== 0 || (second & 0x80) === 0) throw new Violation(PROTOCOL_ERROR)

  if (opcode === CLOSE || opcode === PING || opcode === PONG) {
    const isLengthWrong = shortLength > 125 || (opcode === CLOSE && shortLength === 1)
    if (!isFinal || isLengthWrong) throw new Violation(PROTOCOL_ERROR)
  } else if (opcode !== (isInMessage ? CONTINUATION : opcode) || opcode > BINARY) {
    throw new Violation(PROTOCOL_ERROR)
  } else if (opcode === CONTINUATION && !isInMessage) {
    throw new Violation(PROTOCOL_ERROR)
  }

  const length = readLength(bytes, shortLength)
  if (length === null) return null
  if (opcode <= BINARY) checkLength(length)
  const mask = bytes.take(4)
  return mask === null ? null : { isFinal, opcode, length, mask }
}

function readLength (bytes: Bytes, shortLength: number): bigint | null {
  if (shortLength === 126) {
    const field = bytes.take(2)
    return field === null ? null : BigInt(field.readUInt16BE())
  }
  if (shortLength === 127) return bytes.take(8)?.readBigUInt64BE() ?? null
  return BigInt(shortLength)
}

/** The payload of the answer to a close frame: the same. */
function checkClose (payload: Buffer): Buffer {
  if (payload.length === 0) return payload
  if (!isCloseCode(payload.readUInt16BE())) throw new Violation(PROTOCOL_ERROR)
  if (!isUtf8(payload.subarray(2))) throw new Violation(INVALID_TEXT)
  return payload
}

/** Codes that a close frame may hold, RFC 6455 section 7.4 and the IANA registry of them. */
function isCloseCode (code: number): boolean {
  if (code >= 3000) return code <= 4999
  return code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)
}

/** Bytes that are taken from the front. */
class Bytes {
  #rest: Buffer

  constructor (bytes: Buffer) {
    this.#rest = bytes
  }

  /** Null, and nothing is taken, if there are not so many. */
  take (count: number): Buffer | null {
    if (this.#rest.length < count) return null
    const taken = this.#rest.subarray(0, count)
    this.#rest = this.#rest.subarray(count)
    return taken
  }
}
