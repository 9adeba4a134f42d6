/** Buffers that are a part of another one, without a copy. */

/**
 * The class that Buffers are instances of. ECMAScript names it so for every typed array; the types
 * of Node.js lack the name. `new Buffer()` is deprecated.
 */
const { [Symbol.species]: BufferView } = Buffer as unknown as {
  readonly [Symbol.species]: new (memory: ArrayBufferLike, start: number, length: number) => Buffer
}

/**
 * The bytes from `start` to `end`, like `subarray`, which takes more than twice the time: it checks
 * and rounds what it is given.
 *
 * @param start at least 0, and at most `end`
 * @param end at most the length of `bytes`
 */
export function viewOf (bytes: Buffer, start: number, end: number): Buffer {
  return new BufferView(bytes.buffer, bytes.byteOffset + start, end - start)
}
