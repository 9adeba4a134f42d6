import fc from 'fast-check'

/** Sizes of the first chunks of a stream of bytes; the rest is the last one. */
export type Splits = readonly number[]

/** More chunks than this tell nothing new and take time. */
const MAX_SPLITS = 200

/** Ways to split a stream: here and there, or many times in a row. */
export const splits: fc.Arbitrary<Splits> = fc.array(
  fc.tuple(
    fc.oneof(
      { weight: 3, arbitrary: fc.integer({ min: 1, max: 8 }) },
      { weight: 2, arbitrary: fc.integer({ min: 1, max: 300 }) },
      { weight: 1, arbitrary: fc.integer({ min: 1, max: 70_000 }) }
    ),
    fc.integer({ min: 1, max: 40 })
  ),
  { maxLength: 12 }
).map((runs) => {
  return runs.flatMap(([size, count]) => Array<number>(count).fill(size)).slice(0, MAX_SPLITS)
})

/** The chunks that a stream is split into. */
export function split (bytes: Buffer, sizes: Splits): Buffer[] {
  const chunks: Buffer[] = []
  let start = 0
  for (const size of sizes) {
    if (start + size >= bytes.length) break
    chunks.push(bytes.subarray(start, start + size))
    start += size
  }
  chunks.push(bytes.subarray(start))
  return chunks.filter((chunk) => chunk.length > 0)
}
