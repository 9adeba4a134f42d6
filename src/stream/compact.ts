/**
 * Copies short data that is kept. A short message is a view of all that came with it from the
 * network, 64 KiB perhaps, and would hold on to that memory.
 *
 * The copies share slabs of this file, and not those of `Buffer.from`, which have the size
 * `Buffer.poolSize`: from Node.js 24 on that is as much as the network reads at a time.
 */

/** Longest data, in bytes, that is cheap enough to copy. */
const MAX_COPIED = 4 * 1024

/** Memory, in bytes, that is too little to save. */
const SLAB_SIZE = 8 * 1024

let slab = Buffer.allocUnsafeSlow(SLAB_SIZE)
let used = 0

/** The same data, in memory that is small. */
export function compact (data: Buffer): Buffer {
  if (data.length > MAX_COPIED || data.buffer.byteLength <= SLAB_SIZE) return data
  if (used + data.length > SLAB_SIZE) {
    slab = Buffer.allocUnsafeSlow(SLAB_SIZE)
    used = 0
  }
  const copy = slab.subarray(used, used + data.length)
  copy.set(data)
  used += data.length
  return copy
}
