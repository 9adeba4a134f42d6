import { CLOSE_POLICY_VIOLATION, CLOSE_UNSUPPORTED_DATA } from '../protocol/close-codes'
import type { Codec } from '../stream/codec'
import { InvalidMessageError } from '../stream/errors'
import type { Parse } from './parse'
import type { Validate } from './validate'

/** The codec of a route whose messages have schemas: a message is a value as JSON. */
export function createValueCodec (
  parse: Parse, validate: Validate, serialize: (value: unknown) => string
): Codec {
  return {
    decode (data, isBinary) {
      if (isBinary) throw new InvalidMessageError(CLOSE_UNSUPPORTED_DATA, 'message must be text')
      const value = validate(parse(data.toString()))
      // In a stream, null is the end.
      if (value == null) throw new InvalidMessageError(CLOSE_POLICY_VIOLATION, 'message is null')
      return value
    },
    encode: serialize,
    serialize
  }
}
