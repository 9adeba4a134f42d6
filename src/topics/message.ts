import { createCompressedFrame, createFrame, payloadOf } from '../protocol/frame'
import { deflateOnce, isDeflated, type DeflateSettings } from '../protocol/deflate'

/** The data of a message: a string becomes a text message, bytes become a binary one. */
export type TopicData = string | Uint8Array

/** A published message. Its frame, and its compressed frame, are made once for all subscribers. */
export class TopicMessage {
  /** Whether the message is left out for slow subscribers. */
  readonly isVolatile: boolean
  readonly isText: boolean
  /** The message in a frame. */
  readonly frame: Buffer
  /** Bytes of the message. */
  readonly size: number
  readonly #deflate: DeflateSettings | null
  #deflatedFrame: Buffer | null = null

  /** @param deflate how the message is compressed, or null if it is not */
  constructor (
    data: TopicData, isText: boolean, isVolatile: boolean, deflate: DeflateSettings | null
  ) {
    this.isText = isText
    this.isVolatile = isVolatile
    this.frame = createFrame(data, isText)
    this.size = this.payload.length
    this.#deflate = deflate
  }

  /** The bytes of the message, which are not to be changed. */
  get payload (): Buffer {
    return payloadOf(this.frame)
  }

  /** The compressed message in a frame, or the frame as it is if the message is too short. */
  get deflatedFrame (): Buffer {
    this.#deflatedFrame ??= this.#compress()
    return this.#deflatedFrame
  }

  #compress (): Buffer {
    const deflate = this.#deflate
    if (deflate === null || !isDeflated(this.size, deflate)) return this.frame
    return createCompressedFrame(deflateOnce(this.payload, deflate), this.isText)
  }
}
