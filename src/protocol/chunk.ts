/** Fast ways to the memory of a Buffer: words of it, and views. */

/**
 * The class that Buffers are instances of. ECMAScript names it so for every typed array; the types
 * of Node.js lack the name. `new Buffer()` is deprecated.
 */
const { [Symbol.species]: BufferView } = Buffer as unknown as {
  readonly [Symbol.species]: new (memory: ArrayBufferLike, start: number, length: number) => Buffer
}

/** Bytes of an element of `words`. */
export const BYTES_OF_A_WORD = 4

/** Bytes of an element of `longWords`. */
export const BYTES_OF_A_LONG_WORD = 8

/**
 * See the header of this file. Made once for all frames that arrive in a Buffer: to read `buffer`
 * of a Buffer takes longer than to make a view.
 */
export class Chunk {
  readonly bytes: Buffer
  /** Where `bytes` begins in its memory. */
  readonly offset: number
  /** All of the memory that `bytes` is part of, as words. */
  readonly words: Int32Array
  readonly #memory: ArrayBufferLike
  #longWords: BigInt64Array | null = null

  constructor (bytes: Buffer) {
    const { buffer, byteOffset } = bytes
    this.bytes = bytes
    this.offset = byteOffset
    this.words = new Int32Array(buffer, 0, countOf(buffer, BYTES_OF_A_WORD))
    this.#memory = buffer
  }

  /** All of the memory, as words of eight bytes. Made when a payload is long. */
  get longWords (): BigInt64Array {
    const memory = this.#memory
    this.#longWords ??= new BigInt64Array(memory, 0, countOf(memory, BYTES_OF_A_LONG_WORD))
    return this.#longWords
  }

  /**
   * The bytes from `start` to `end`, without a copy. `subarray` of a Buffer takes more than twice
   * the time: it checks and rounds what it is given.
   *
   * @param start at least 0, and at most `end`
   * @param end at most the length of `bytes`
   */
  view (start: number, end: number): Buffer {
    return new BufferView(this.#memory, this.offset + start, end - start)
  }
}

/** How many words there are in a piece of memory. */
function countOf ({ byteLength }: ArrayBufferLike, bytesOfAWord: number): number {
  return Math.floor(byteLength / bytesOfAWord)
}
