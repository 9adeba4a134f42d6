/** How a text message gets to the `message` listeners of a socket. */
export type ReadText = (data: Buffer) => string | Buffer

/**
 * In the options of a server or a stream, but not in their types, because only this library gives
 * it: how `message` listeners get text. Default: {@link asString}.
 */
export const kReadText = Symbol('fastify-websocket.read-text')

/** Text is a string. */
export function asString (data: Buffer): string {
  return data.toString()
}

/** Text stays the Buffer of its bytes in UTF-8, as ws 8 gives it. */
export function asBuffer (data: Buffer): Buffer {
  return data
}
