/** The header of a frame (RFC 6455 section 5.2). */

/** Opcodes, as far as they are told apart here. */
export const TEXT = 0x1
const BINARY = 0x2
export const CLOSE = 0x8

/** Bytes of the key of a mask. It is the end of a header. */
export const KEY_SIZE = 4

const FIN = 0x80
/** In the first byte: the message is compressed (RFC 7692 section 6). */
export const COMPRESSED = 0x40
const OPCODE = 0x0f
const MASKED = 0x80
const LENGTH = 0x7f

/** Says that the length is in the next two bytes, or in the next eight. */
const LENGTH_IN_16_BITS = 126
const LENGTH_IN_64_BITS = 127

const MAX_16_BITS = 0xffff

/** Whether frames with an opcode are control frames: close, ping and pong. */
export function isControl (opcode: number): boolean {
  return opcode >= CLOSE
}

/** Whether a frame with this first byte is a whole message, text or binary, that is compressed. */
export function isCompressedMessage (first: number): boolean {
  return first === (FIN | COMPRESSED | TEXT) || first === (FIN | COMPRESSED | BINARY)
}

/** The header of a frame. One object serves all frames, one after the other. */
export class FrameHeader {
  /** The first byte: FIN, the reserved bits and the opcode. */
  first = 0
  isMasked = false
  /** Bytes of the header, with the key. */
  size = 0
  /** Bytes of the payload. Not exact above `Number.MAX_SAFE_INTEGER`. */
  length = 0

  get isFinal (): boolean {
    return (this.first & FIN) !== 0
  }

  get opcode (): number {
    return this.first & OPCODE
  }

  /** Whether the frame is a whole message, text or binary, without an extension. */
  get isWholeMessage (): boolean {
    return this.first === (FIN | TEXT) || this.first === (FIN | BINARY)
  }

  /** Reads the header that begins at `start`. False if it goes on behind the end of `bytes`. */
  read (bytes: Buffer, start: number): boolean {
    const available = bytes.length - start
    if (available < 2) return false
    // The type of an element does not know that the position is below the length.
    const second = bytes[start + 1] as number
    const isMasked = (second & MASKED) !== 0
    const keySize = isMasked ? KEY_SIZE : 0
    const short = second & LENGTH
    const lengthSize = short < LENGTH_IN_16_BITS ? 0 : short === LENGTH_IN_64_BITS ? 8 : 2
    const size = 2 + lengthSize + keySize
    if (available < size) return false
    // As above: there is a byte at this position.
    this.first = bytes[start] as number
    this.isMasked = isMasked
    this.size = size
    if (lengthSize === 0) this.length = short
    else if (lengthSize === 2) this.length = bytes.readUInt16BE(start + 2)
    else this.length = bytes.readUInt32BE(start + 2) * 2 ** 32 + bytes.readUInt32BE(start + 6)
    return true
  }
}

/**
 * Whether a header, of which only a part has arrived, may belong to a message in one frame that is
 * not too long. A single byte may begin any frame. A message whose length takes eight bytes is so
 * long that it never arrives in one chunk.
 *
 * @param maxPayload bytes of the longest message; 0 is no limit
 * @param mayBeCompressed whether the message may be compressed
 */
export function mayBeWhole (part: Buffer, maxPayload: number, mayBeCompressed: boolean): boolean {
  const [first, second] = part
  if (first === undefined || second === undefined) return true
  const isMessage = first === (FIN | TEXT) || first === (FIN | BINARY) ||
    (mayBeCompressed && isCompressedMessage(first))
  if (!isMessage || (second & MASKED) === 0) return false
  const short = second & LENGTH
  if (short === LENGTH_IN_64_BITS) return false
  return maxPayload === 0 || (short === LENGTH_IN_16_BITS ? MAX_16_BITS : short) <= maxPayload
}
