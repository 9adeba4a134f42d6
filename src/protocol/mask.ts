/**
 * The mask of the frames that a client sends (RFC 6455 section 5.3). A key is kept as an integer
 * whose lowest byte is the first byte of the key. `turnKey` rotates it, so that the lowest byte is
 * the one for the next byte of the payload.
 */
import { BYTES_OF_A_LONG_WORD, BYTES_OF_A_WORD, type Chunk } from './chunk'

/** Whether this machine is little-endian: then its words have the byte order of keys. */
const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

/** The highest bit of each byte of a word: no ASCII character has it. */
const NOT_ASCII = 0x80808080 | 0

/**
 * From this many bytes on, words of eight bytes are unmasked, in less than half of the time. That
 * loop does not see whether the bytes are ASCII: for so many, Node.js finds it out as fast.
 */
export const LONG_PAYLOAD = 512

/** The key that stands in `bytes` at `position`. All four bytes of it must be there. */
export function readKey (bytes: Uint8Array, position: number): number {
  // The casts are safe for that reason. `readInt32LE` checks it, and takes twice the time.
  return (bytes[position] as number) | ((bytes[position + 1] as number) << 8) |
    ((bytes[position + 2] as number) << 16) | ((bytes[position + 3] as number) << 24)
}

/** The key for the bytes that come after `count` bytes of a payload. */
export function turnKey (key: number, count: number): number {
  const bits = (count % BYTES_OF_A_WORD) * 8
  return bits === 0 ? key : (key >>> bits) | (key << (32 - bits))
}

/**
 * Takes the mask off the bytes of a chunk from `start` to `end`, in place.
 *
 * @param start at most `end`
 * @param key the key for the byte at `start`
 * @returns whether all of these bytes are known to be ASCII now. Of {@link LONG_PAYLOAD} or more
 *   this is never known
 */
export function unmask (chunk: Chunk, start: number, end: number, key: number): boolean {
  // A key of zeros changes nothing, so the bytes are not read.
  if (key === 0) return false
  const isLong = end - start >= LONG_PAYLOAD
  if (isLong && IS_LITTLE_ENDIAN) {
    unmaskByLongWords(chunk, start, end, key)
    return false
  }
  return unmaskByWords(chunk, start, end, key) && !isLong
}

/**
 * Returns whether all of the bytes are ASCII. It is one function for speed: with a function for
 * each of its three parts (bytes, words, bytes), a short message took twice the time.
 */
function unmaskByWords (chunk: Chunk, start: number, end: number, key: number): boolean {
  const { bytes, offset, words } = chunk
  let seen = 0
  let turned = key
  let i = start
  for (; i < end && !isWordStart(offset + i); i++) {
    // This cast and those below are safe: no index reaches the length.
    const byte = (bytes[i] as number) ^ (turned & 0xff)
    bytes[i] = byte
    seen |= byte
    turned = (turned >>> 8) | (turned << 24)
  }
  let word = wordAt(offset + i)
  const lastWord = wordAt(offset + end)
  i += (lastWord - word) * BYTES_OF_A_WORD
  // Four at a time, which takes two thirds of the time.
  for (; word + 4 <= lastWord; word += 4) {
    const a = (words[word] as number) ^ turned
    const b = (words[word + 1] as number) ^ turned
    const c = (words[word + 2] as number) ^ turned
    const d = (words[word + 3] as number) ^ turned
    words[word] = a
    words[word + 1] = b
    words[word + 2] = c
    words[word + 3] = d
    seen |= a | b | c | d
  }
  for (; word < lastWord; word++) {
    const unmasked = (words[word] as number) ^ turned
    words[word] = unmasked
    seen |= unmasked
  }
  for (; i < end; i++) {
    const byte = (bytes[i] as number) ^ (turned & 0xff)
    bytes[i] = byte
    seen |= byte
    turned = (turned >>> 8) | (turned << 24)
  }
  return (seen & NOT_ASCII) === 0
}

function unmaskByLongWords (chunk: Chunk, start: number, end: number, key: number): void {
  const { offset, longWords } = chunk
  let word = Math.ceil((offset + start) / BYTES_OF_A_LONG_WORD)
  const lastWord = Math.floor((offset + end) / BYTES_OF_A_LONG_WORD)
  const head = word * BYTES_OF_A_LONG_WORD - offset
  const tail = lastWord * BYTES_OF_A_LONG_WORD - offset
  unmaskByWords(chunk, start, head, key)
  const turned = turnKey(key, head - start)
  const twice = BigInt.asIntN(64, BigInt(turned >>> 0) * 0x1_0000_0001n)
  // Four at a time, which takes half of the time. V8, once it has optimized the loop, makes no
  // objects for these numbers, because they come from an array of their type and go back to it.
  // The casts are safe, as above.
  for (; word + 4 <= lastWord; word += 4) {
    longWords[word] = (longWords[word] as bigint) ^ twice
    longWords[word + 1] = (longWords[word + 1] as bigint) ^ twice
    longWords[word + 2] = (longWords[word + 2] as bigint) ^ twice
    longWords[word + 3] = (longWords[word + 3] as bigint) ^ twice
  }
  for (; word < lastWord; word++) longWords[word] = (longWords[word] as bigint) ^ twice
  unmaskByWords(chunk, tail, end, turned)
}

// The next two take positions in the memory, in bytes. They are below 4 GiB, because the memory is
// that of a chunk from the network or of a client in the same process. With divisions, a short
// message took half as long again.

/** Whether a word begins here, if words can be used at all. */
function isWordStart (position: number): boolean {
  return IS_LITTLE_ENDIAN && (position & 3) === 0
}

/** The number of the word here. */
function wordAt (position: number): number {
  return position >>> 2
}
