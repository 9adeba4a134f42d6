/** Longest data, in bytes, that is cheap enough to copy. */
const MAX_COPIED = 4 * 1024

/**
 * Data that is kept, without the memory around it: a short message is a view of all that came with
 * it from the network, 64 KiB perhaps, and would hold on to that. A copy, where it pays.
 */
export function compact (data: Buffer): Buffer {
  const { byteLength } = data.buffer
  return data.length <= MAX_COPIED && byteLength > Buffer.poolSize ? Buffer.from(data) : data
}
