/** Bytes that have arrived together, and the payloads in them. */

/**
 * The class that Buffers are instances of. ECMAScript names it so for every typed array; the types
 * of Node.js lack the name. `new Buffer()` is deprecated.
 */
const { [Symbol.species]: BufferView } = Buffer as unknown as {
  readonly [Symbol.species]: new (memory: ArrayBufferLike, start: number, length: number) => Buffer
}

export const BYTES_OF_A_WORD = 4

/**
 * See the header of this file. It keeps what its frames need of the memory: to read `buffer` of a
 * Buffer takes longer than to make a view.
 */
export class Chunk {
  readonly bytes: Buffer
  /** Where `bytes` begins in its memory. */
  readonly offset: number
  /** All of the memory that `bytes` is part of, as words. */
  readonly words: Int32Array
  readonly #memory: ArrayBufferLike

  constructor (bytes: Buffer) {
    const { buffer, byteOffset } = bytes
    this.bytes = bytes
    this.offset = byteOffset
    this.words = new Int32Array(buffer, 0, Math.floor(buffer.byteLength / BYTES_OF_A_WORD))
    this.#memory = buffer
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
