/** Parses the JSON of a message, with Fastify's options for prototypes. */
import type { FastifyInstance } from 'fastify'
import { CLOSE_INVALID_DATA, CLOSE_POLICY_VIOLATION } from '../protocol/close-codes'
import { InvalidMessageError } from '../stream/errors'

type ParseBody = (
  request: null, text: string, done: (error: Error | null, value: unknown) => void
) => void

/** Parses a text. @throws FST_WS_INVALID_MESSAGE */
export type Parse = (text: string) => unknown

/**
 * Creates a parser of JSON texts, which is that of Fastify for bodies. As there, the options
 * `onProtoPoisoning` and `onConstructorPoisoning` of the application decide about a text that would
 * replace a prototype.
 */
export function createParser (fastify: FastifyInstance): Parse {
  const { onProtoPoisoning = 'error', onConstructorPoisoning = 'error' } = fastify.initialConfig
  // The types of Fastify demand a request, which this parser does not use, and allow a promise.
  const parseBody = fastify.getDefaultJsonParser(onProtoPoisoning, onConstructorPoisoning) as
    unknown as ParseBody
  let failure: Error | null = null
  let value: unknown
  const onParsed = (error: Error | null, parsed: unknown): void => {
    failure = error
    value = parsed
  }
  return (text) => {
    if (hasPlainKeys(text)) {
      try {
        return JSON.parse(text)
      } catch {
        // The parser of Fastify decides: it takes a text that begins with a byte order mark.
      }
    }
    // The parser of Fastify calls back before it returns.
    parseBody(null, text, onParsed)
    if (failure !== null) throw whyRefused(text)
    const parsed = value
    value = null
    return parsed
  }
}

/**
 * Whether no key of a text can replace a prototype. Then the parser of Fastify does no more than
 * `JSON.parse`, and takes a fifth longer.
 */
function hasPlainKeys (text: string): boolean {
  // With a backslash, a key can be written with escapes.
  return !text.includes('\\') && !text.includes('__proto__') && !text.includes('constructor')
}

/** The error for a text that was refused. That of Fastify would name the body of a request. */
function whyRefused (text: string): Error {
  try {
    JSON.parse(text.replace(/^\ufeff/, ''))
  } catch (cause) {
    return new InvalidMessageError(CLOSE_INVALID_DATA, 'message is not valid JSON', { cause })
  }
  return new InvalidMessageError(CLOSE_POLICY_VIOLATION, 'message has a forbidden key')
}
