/** The schemas of one message, in the forms that compilers of Fastify take. */
import { Type, TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { MessageSchemas } from '../../src/types'

/** What becomes of a message: a value as JSON, or the close code that it ends the connection by. */
export type Outcome = string | number

/** A compiler, and what becomes of the messages that compilers differ on. */
export interface Compiler {
  readonly name: string
  /** Sets it for a scope. */
  use (scope: FastifyInstance): void
  readonly schemas: MessageSchemas
  /** `{"n":"5"}` */
  readonly coerced: Outcome
  /** `{"n":1}` */
  readonly defaulted: Outcome
  /** Begins the reason of the close for `{"n":"x"}`. */
  readonly reason: string
}

const properties = { n: { type: 'integer' }, d: { type: 'string', default: 'x' } }
const AJV = { type: 'object', required: ['n'], properties }

/** A validator without a library, which answers by an error or a new value. */
function validateByHand (message: unknown): { error: Error } | { value: unknown } {
  const { n, d = 'x' }: { n?: unknown, d?: unknown } = Object(message)
  const number = Number(n)
  if (!Number.isInteger(number)) return { error: new Error('message has no n') }
  return { value: { n: number, d } }
}

export const COMPILERS: readonly Compiler[] = [
  {
    name: 'ajv',
    use: () => {},
    schemas: { incoming: AJV, outgoing: AJV },
    coerced: '{"n":5,"d":"x"}',
    defaulted: '{"n":1,"d":"x"}',
    reason: 'message/n must be integer'
  },
  {
    name: 'a compiler of the application',
    use: (scope) => {
      scope.setValidatorCompiler(() => validateByHand)
      scope.setSerializerCompiler(() => (value) => JSON.stringify(value))
    },
    schemas: { incoming: 'by hand', outgoing: 'by hand' },
    coerced: '{"n":5,"d":"x"}',
    defaulted: '{"n":1,"d":"x"}',
    reason: 'message has no n'
  },
  {
    name: 'Zod',
    use: (scope) => {
      scope.setValidatorCompiler(validatorCompiler)
      scope.setSerializerCompiler(serializerCompiler)
    },
    schemas: {
      incoming: z.object({ n: z.coerce.number().int(), d: z.string().default('x') }),
      outgoing: z.object({ n: z.number(), d: z.string() })
    },
    coerced: '{"n":5,"d":"x"}',
    defaulted: '{"n":1,"d":"x"}',
    reason: 'message/n Invalid input: expected number'
  },
  {
    name: 'TypeBox',
    use: (scope) => { scope.setValidatorCompiler(TypeBoxValidatorCompiler) },
    schemas: {
      incoming: Type.Object({ n: Type.Integer(), d: Type.Optional(Type.String({ default: 'x' })) }),
      outgoing: Type.Object({ n: Type.Integer(), d: Type.Optional(Type.String()) })
    },
    // Its compiler changes no body.
    coerced: 1008,
    defaulted: '{"n":1}',
    reason: 'message/n must be integer'
  }
]
