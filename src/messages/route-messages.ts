/**
 * The messages of one websocket route that has schemas for them. A route is declared with the
 * schemas, and when the application is ready, `compile` makes the codec of its streams by the
 * compilers that Fastify has for the route.
 *
 * Fastify builds the compilers of a scope only if a route of the scope has a schema of an HTTP
 * part. `demandCompilers` gives the route parts without a schema in them, until they are built.
 */
import type { FastifyInstance, FastifySchema, RouteOptions } from 'fastify'
import { AsyncValidatorError, InvalidSchemaError } from '../errors'
import { toError } from '../observe/thrown'
import { isObject } from '../options/checks'
import { serialize, toJson, type Codec } from '../stream/codec'
import { dropPromise } from '../stream/thenable'
import type { MessageSchemas } from '../types'
import { createValueCodec } from './value-codec'
import { createParser } from './parse'
import { readMessageSchemas } from './schemas'
import { createValidate, type Validate } from './validate'

type OwnCompilers = Pick<RouteOptions, 'validatorCompiler' | 'serializerCompiler'>

/** Every route takes GET. */
const METHOD = 'GET'

/** See the header of this file. */
export class RouteMessages {
  readonly schemas: MessageSchemas
  readonly #url: string
  /** The compilers that the route was declared with. */
  readonly #compilers: OwnCompilers

  private constructor (schemas: MessageSchemas, options: RouteOptions) {
    this.schemas = schemas
    this.#url = options.url
    this.#compilers = options
  }

  /** The messages of a route, or null if it has no schemas for them. */
  static of (options: RouteOptions): RouteMessages | null {
    const schemas = readMessageSchemas(options.schema)
    return schemas === null ? null : new RouteMessages(schemas, options)
  }

  /**
   * @param instance the one that the route was declared on; Fastify has built its compilers
   * @throws FST_WS_INVALID_SCHEMA, FST_WS_ASYNC_VALIDATOR
   */
  compile (instance: FastifyInstance): Codec {
    const validate = this.#compileIncoming(instance)
    return createValueCodec(createParser(instance), validate, this.#compileOutgoing(instance))
  }

  #compileIncoming (instance: FastifyInstance): Validate {
    const { incoming } = this.schemas
    if (incoming == null) return (value) => value
    // ajv makes an asynchronous validator of such a schema.
    if (isObject(incoming) && Reflect.get(incoming, '$async') === true) {
      throw new AsyncValidatorError(this.#url)
    }
    const compile = this.#compilers.validatorCompiler ?? instance.validatorCompiler
    const validator = this.#attempt('incoming', () => {
      // Compilers that choose by the part of a request are the strictest for a body.
      return compile?.({ schema: incoming, method: METHOD, url: this.#url, httpPart: 'body' })
    })
    return createValidate(validator, this.#url)
  }

  #compileOutgoing (instance: FastifyInstance): (value: unknown) => string {
    const { outgoing } = this.schemas
    if (outgoing == null) return serialize
    const compile = this.#compilers.serializerCompiler ?? instance.serializerCompiler
    const stringify = this.#attempt('outgoing', () => {
      return compile?.({ schema: outgoing, method: METHOD, url: this.#url })
    })
    return (value) => toJson(value, stringify)
  }

  #attempt<Compiled> (name: keyof MessageSchemas, compile: () => Compiled | undefined): Compiled {
    try {
      const compiled = compile()
      if (typeof compiled === 'function') return compiled
      dropPromise(compiled)
    } catch (cause) {
      throw new InvalidSchemaError(name, this.#url, toError(cause).message, { cause })
    }
    throw new InvalidSchemaError(name, this.#url, 'its compiler has made no function')
  }
}

/** Parts of a request and of its answer in which there is nothing to compile. */
const EMPTY_PARTS = { body: { content: {} }, response: {} }

/**
 * Has Fastify build the compilers of the scope of a route. Returns a function that removes the
 * added parts: they are not parts of the route, and other plugins could describe them as such.
 */
export function demandCompilers (options: RouteOptions): () => void {
  const schema: FastifySchema = { ...EMPTY_PARTS, ...options.schema }
  options.schema = schema
  return () => {
    if (schema.body === EMPTY_PARTS.body) delete schema.body
    if (schema.response === EMPTY_PARTS.response) delete schema.response
  }
}
