/** What `connection.socket.binaryType` may be. */
export type BinaryType = 'nodebuffer' | 'arraybuffer' | 'fragments' | 'blob'

/** A binary message as the listeners of a socket get it. */
export type BinaryMessage = Buffer | ArrayBuffer | Buffer[] | Blob

/** Whether `type` is a type of binary message; ws ignores any other, and so do we. */
export function isBinaryType (type: unknown): type is BinaryType {
  return type === 'nodebuffer' || type === 'arraybuffer' || type === 'fragments' || type === 'blob'
}

/** Converts a message to `type`. An ArrayBuffer is a copy of just the message. */
export function toBinaryType (data: Buffer, type: BinaryType): BinaryMessage {
  switch (type) {
    case 'nodebuffer': return data
    case 'arraybuffer': return new Uint8Array(data).buffer
    case 'fragments': return [data]
    case 'blob': return new Blob([data])
  }
}
