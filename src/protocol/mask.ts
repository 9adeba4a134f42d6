/**
 * The mask of the frames that a client sends (RFC 6455 section 5.3). A key is kept as an integer
 * whose lowest byte is the first byte of the key. `turnKey` rotates it, so that the lowest byte is
 * the one for the next byte of the payload.
 */

/** Whether this machine is little-endian: then its words have the byte order of keys. */
const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

const BYTES_OF_A_WORD = 4

/** The highest bit of each byte of a word: no ASCII character has it. */
const NOT_ASCII = 0x80808080 | 0

/** The key that stands in `bytes` at `position`. */
export function readKey (bytes: Buffer, position: number): number {
  return bytes.readInt32LE(position)
}

/** The key for the bytes that come after `count` bytes of a payload. */
export function turnKey (key: number, count: number): number {
  const bits = (count % BYTES_OF_A_WORD) * 8
  return bits === 0 ? key : (key >>> bits) | (key << (32 - bits))
}

/** The memory that `bytes` is part of, as words. */
export function wordsOf ({ buffer }: Uint8Array): Int32Array {
  return new Int32Array(buffer, 0, Math.floor(buffer.byteLength / BYTES_OF_A_WORD))
}

/**
 * Takes the mask off the bytes from `start` to `end`, in place.
 *
 * @param words the result of {@link wordsOf} for `bytes`, made once for all frames of a chunk
 * @param key the key for the byte at `start`
 * @returns whether all of these bytes are known to be ASCII now
 */
export function unmask (
  bytes: Uint8Array, words: Int32Array, start: number, end: number, key: number
): boolean {
  // A key of zeros changes nothing, so the bytes are not read.
  if (key === 0) return false
  const firstWord = Math.ceil((bytes.byteOffset + start) / BYTES_OF_A_WORD)
  const lastWord = Math.floor((bytes.byteOffset + end) / BYTES_OF_A_WORD)
  if (!IS_LITTLE_ENDIAN || firstWord >= lastWord) {
    return (unmaskBytes(bytes, start, end, key) & NOT_ASCII) === 0
  }
  const wordStart = firstWord * BYTES_OF_A_WORD - bytes.byteOffset
  const wordEnd = lastWord * BYTES_OF_A_WORD - bytes.byteOffset
  const wordKey = turnKey(key, wordStart - start)
  const seen = unmaskBytes(bytes, start, wordStart, key) |
    unmaskWords(words, firstWord, lastWord, wordKey) |
    unmaskBytes(bytes, wordEnd, end, wordKey)
  return (seen & NOT_ASCII) === 0
}

/** Returns the bits that are set in any of the bytes, in the lowest eight bits. */
function unmaskBytes (bytes: Uint8Array, start: number, end: number, key: number): number {
  let seen = 0
  let turned = key
  for (let i = start; i < end; i++) {
    // The type of an element does not know that `i` is below the length.
    const byte = (bytes[i] as number) ^ (turned & 0xff)
    bytes[i] = byte
    seen |= byte
    turned = (turned >>> 8) | (turned << 24)
  }
  return seen
}

/** Returns the bits that are set in any of the words. Unrolled for the speed of long messages. */
function unmaskWords (words: Int32Array, start: number, end: number, key: number): number {
  let seen = 0
  let i = start
  for (; i + 4 <= end; i += 4) {
    // The same holds for these four.
    const a = (words[i] as number) ^ key
    const b = (words[i + 1] as number) ^ key
    const c = (words[i + 2] as number) ^ key
    const d = (words[i + 3] as number) ^ key
    words[i] = a
    words[i + 1] = b
    words[i + 2] = c
    words[i + 3] = d
    seen |= a | b | c | d
  }
  for (; i < end; i++) {
    const word = (words[i] as number) ^ key
    words[i] = word
    seen |= word
  }
  return seen
}
