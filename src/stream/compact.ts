/** Longest data, in bytes, that is cheap enough to copy. */
const MAX_COPIED = 4 * 1024

/**
 * Memory, in bytes, that is too little to save. Not `Buffer.poolSize`: from Node.js 24 on that is
 * as much as the network reads at a time.
 */
const MAX_SHARED = 8 * 1024

/**
 * Data that is kept, without the memory around it: a short message is a view of all that came with
 * it from the network, 64 KiB perhaps, and would hold on to that. A copy, where it pays.
 */
export function compact (data: Buffer): Buffer {
  const { byteLength } = data.buffer
  return data.length <= MAX_COPIED && byteLength > MAX_SHARED ? Buffer.from(data) : data
}
