import type { Callback } from './owned-duplex'

/** Chunks as Duplex gives them to `_writev`. */
export interface WrittenChunk {
  readonly chunk: unknown
  readonly encoding: BufferEncoding
}

type Write = (chunk: unknown, encoding: BufferEncoding, callback: Callback) => void

/** Writes chunks one by one. Calls back after the last of them, with the first error. */
export function writeEach (
  chunks: readonly WrittenChunk[], write: Write, callback: Callback
): void {
  let unwritten = chunks.length
  let failure: Error | null | undefined
  const onWritten: Callback = (error) => {
    failure ??= error
    if (--unwritten === 0) callback(failure)
  }
  for (const { chunk, encoding } of chunks) write(chunk, encoding, onWritten)
}
