/** How a text message gets to the `message` listeners of a socket. */
export type ReadText = (data: Buffer) => string | Buffer

/** Text is a string. */
export function asString (data: Buffer): string {
  return data.toString()
}

/** Text stays the Buffer of its bytes in UTF-8, as ws 8 gives it. */
export function asBuffer (data: Buffer): Buffer {
  return data
}
