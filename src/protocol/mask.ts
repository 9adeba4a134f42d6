/**
 * The mask of the frames that a client sends (RFC 6455 section 5.3). A key is kept as an integer
 * whose lowest byte is the first byte of the key. `turnKey` rotates it, so that the lowest byte is
 * the one for the next byte of the payload.
 */
import { BYTES_OF_A_WORD, type Chunk } from './chunk'

/** Whether this machine is little-endian: then its words have the byte order of keys. */
const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

/** The highest bit of each byte of a word: no ASCII character has it. */
const NOT_ASCII = 0x80808080 | 0

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
 * Takes the mask off the bytes of a chunk from `start` to `end`, in place. It is one function for
 * speed: with a function for each of its three parts, a short message took twice the time.
 *
 * @param start at most `end`
 * @param key the key for the byte at `start`
 * @returns whether all of these bytes are known to be ASCII now
 */
export function unmask (chunk: Chunk, start: number, end: number, key: number): boolean {
  // A key of zeros changes nothing, so the bytes are not read.
  if (key === 0) return false
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
  // Four at a time, for the speed of long messages.
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
