/** The errors of topics, one table. */
import createError from '@fastify/error'
import { describe } from '../observe/described'

/** A name that no topic can have. Arguments: the name. */
export class InvalidTopicError extends createError<[got: string]>(
  'FST_WS_INVALID_TOPIC',
  'a topic is a well-formed string of 1 to 256 characters, got %s', 500, TypeError) {
  constructor (value: unknown) {
    super(describe(value))
  }
}

/** A connection has as many topics as it may. Arguments: how many. */
export const TooManySubscriptionsError = createError<[limit: number]>(
  'FST_WS_TOO_MANY_SUBSCRIPTIONS',
  'the connection is subscribed to %d topics already, and may not be to more', 0)

/** The broker has failed, or is not open. Arguments: the problem, and the error of the broker. */
export const BrokerError = createError<[problem: string, options?: { cause: unknown }]>(
  'FST_WS_BROKER', 'the broker of the topics has failed: %s', 0)

/** A broker has brought bytes that are no message. Arguments: the topic. */
export const ForeignMessageError = createError<[topic: string]>(
  'FST_WS_FOREIGN_MESSAGE',
  'a message on topic %o is neither of this package nor a text, and was dropped; ' +
  'further ones are dropped and counted only', 0)
