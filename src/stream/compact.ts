/**
 * Copies short data that is kept. A short message is a view of the whole chunk in which it came
 * from the network, up to 64 KiB. Without the copy, the message would keep that memory alive.
 *
 * The copies share slabs of this file, and not those of `Buffer.from`, which have the size
 * `Buffer.poolSize`: from Node.js 24 on that is as much as the network reads at a time.
 */
import { Chunk } from '../protocol/chunk'

/** Longest data, in bytes, that is cheap enough to copy. */
const MAX_COPIED = 4 * 1024

/** Data in a piece of memory of this size, in bytes, or less is not copied. */
const SLAB_SIZE = 8 * 1024

let slab = new Chunk(Buffer.allocUnsafeSlow(SLAB_SIZE))
let used = 0

/** Returns the data, or a copy in a small piece of memory if the data is short. */
export function compact (data: Buffer): Buffer {
  if (data.length > MAX_COPIED || data.buffer.byteLength <= SLAB_SIZE) return data
  if (used + data.length > SLAB_SIZE) {
    slab = new Chunk(Buffer.allocUnsafeSlow(SLAB_SIZE))
    used = 0
  }
  const copy = slab.view(used, used + data.length)
  copy.set(data)
  used += data.length
  return copy
}
