import { InvalidTopicError } from './errors'

/** Characters, as JavaScript counts them. */
const MAX_LENGTH = 256

/** Half of a surrogate pair. It has no UTF-8, so two such names could become one at a broker. */
const LONE_SURROGATE = /\p{Surrogate}/u

/** @throws FST_WS_INVALID_TOPIC */
export function checkName (name: unknown): void {
  if (typeof name !== 'string' || name === '' || name.length > MAX_LENGTH ||
    LONE_SURROGATE.test(name)) throw new InvalidTopicError(name)
}
