import { inflateRawSync, constants } from 'node:zlib'

/** Opcodes of RFC 6455 section 5.2. */
export const CONTINUATION = 0x0
export const TEXT = 0x1
export const BINARY = 0x2
export const CLOSE = 0x8
export const PING = 0x9
export const PONG = 0xa

const FIN = 0x80
const RSV = 0x70
const RSV_1 = 0x40
const MASKED = 0x80
const NONE = Buffer.alloc(0)

/** What permessage-deflate cuts off at the end of a message (RFC 7692 section 7.2.1). */
const DEFLATE_TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff])

/** A message or a control frame. */
export interface Frame {
  readonly opcode: number
  readonly payload: Buffer
}

/** How the length of a frame is written: as short as may be, or in so many bits. */
export type LengthForm = 'shortest' | 16 | 64

/** A frame as a client sends it, a valid one or not. */
export interface ClientFrame extends Frame {
  readonly isFinal: boolean
  /** The three reserved bits, as a number up to 7. */
  readonly reserved: number
  /** Null for a frame without a mask. */
  readonly mask: Buffer | null
  readonly lengthForm: LengthForm
  /** The length that the header tells; null for that of the payload. */
  readonly toldLength: bigint | null
}

/** The bytes of a client's frame (RFC 6455 section 5.2). */
export function encodeFrame (frame: ClientFrame): Buffer {
  const { isFinal, reserved, opcode, payload, mask, lengthForm, toldLength } = frame
  const first = (isFinal ? FIN : 0) | reserved << 4 | opcode
  const length = encodeLength(toldLength ?? BigInt(payload.length), lengthForm)
  length[0] = Number(length[0]) | (mask === null ? 0 : MASKED)
  return Buffer.concat([
    Buffer.of(first), length, mask ?? NONE, mask === null ? payload : applyMask(payload, mask)
  ])
}

function encodeLength (length: bigint, form: LengthForm): Buffer {
  if (form === 64 || length > 0xffffn) {
    const bytes = Buffer.of(127, 0, 0, 0, 0, 0, 0, 0, 0)
    bytes.writeBigUInt64BE(length, 1)
    return bytes
  }
  const short = Number(length)
  return form === 16 || short > 125 ? Buffer.of(126, short >> 8, short & 255) : Buffer.of(short)
}

/** Masks a payload, or takes the mask off it. */
export function applyMask (payload: Uint8Array, mask: Uint8Array): Buffer {
  return Buffer.from(payload.map((byte, i) => byte ^ Number(mask[i % mask.length])))
}

/**
 * Decodes what a server sends, and is strict about it: a frame is not masked, has the shortest
 * length, is a whole message, and none follows a close frame.
 */
export class ServerFrames {
  readonly frames: Frame[] = []
  readonly #isUtf8Checked: boolean
  #rest = NONE

  /** @param isUtf8Checked false for a server that sends back text which it has not checked */
  constructor (isUtf8Checked = true) {
    this.#isUtf8Checked = isUtf8Checked
  }

  /** @throws when it is not what a server may send */
  push (chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk])
    while (this.#decodeOne()) { /* there may be another */ }
  }

  /** Bytes of a frame that is not complete. */
  get unfinished (): number {
    return this.#rest.length
  }

  #decodeOne (): boolean {
    const [first, second] = this.#rest
    if (first === undefined || second === undefined) return false
    check(this.frames.at(-1)?.opcode !== CLOSE, 'nothing follows a close frame')
    checkHeader(first, second)
    const lengthBytes = second < 126 ? 0 : second === 126 ? 2 : 8
    const start = 2 + lengthBytes
    if (this.#rest.length < start) return false
    const length = readLength(this.#rest, second)
    if (this.#rest.length < start + length) return false
    const payload = this.#rest.subarray(start, start + length)
    this.#rest = this.#rest.subarray(start + length)
    const frame = readFrame(first, payload)
    if (this.#isUtf8Checked) checkUtf8(frame)
    this.frames.push(frame)
    return true
  }
}

function checkHeader (first: number, second: number): void {
  const opcode = first & 0x0f
  const isControl = opcode === CLOSE || opcode === PING || opcode === PONG
  check(isControl || opcode === TEXT || opcode === BINARY, `opcode ${opcode}`)
  check((first & FIN) !== 0, 'a server that echoes does not fragment')
  check((first & RSV) === 0 || ((first & RSV) === RSV_1 && !isControl), 'reserved bits')
  check((second & MASKED) === 0, 'a server does not mask')
  check(!isControl || second <= 125, 'a control frame is short')
}

function readLength (data: Buffer, second: number): number {
  if (second < 126) return second
  const length = second === 126 ? data.readUInt16BE(2) : Number(data.readBigUInt64BE(2))
  check(length > (second === 126 ? 125 : 0xffff), 'the length has its shortest form')
  return length
}

function readFrame (first: number, bytes: Buffer): Frame {
  const opcode = first & 0x0f
  const payload = (first & RSV_1) === 0 ? bytes : inflate(bytes)
  return { opcode, payload }
}

function checkUtf8 ({ opcode, payload }: Frame): void {
  if (opcode === TEXT) check(isUtf8(payload), 'a text message is UTF-8')
  if (opcode === CLOSE) check(isUtf8(payload.subarray(2)), 'a close reason is UTF-8')
}

function inflate (bytes: Buffer): Buffer {
  const options = { finishFlush: constants.Z_SYNC_FLUSH }
  return inflateRawSync(Buffer.concat([bytes, DEFLATE_TAIL]), options)
}

const decoder = new TextDecoder('utf-8', { fatal: true })

/** Whether bytes are well-formed UTF-8. */
export function isUtf8 (bytes: Uint8Array): boolean {
  try {
    decoder.decode(bytes)
    return true
  } catch {
    return false
  }
}

function check (isRight: boolean, rule: string): void {
  if (!isRight) throw new Error(`the server has sent a wrong frame: ${rule}`)
}
