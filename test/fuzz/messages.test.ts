// What becomes of a message, compared with JSON.parse and with an ajv of the test's own.
import Ajv from 'ajv'
import fc from 'fast-check'
import { connect, type Client } from '../helpers/client'
import { serve } from '../helpers/plugin'
import { fuzz, soon } from './fuzz'
import { messageText } from './message-texts'
import { checkEqual } from './served'

const INTEGER = { type: 'integer' }

const SCHEMAS: Readonly<Record<string, object>> = {
  object: {
    type: 'object',
    required: ['n'],
    additionalProperties: false,
    properties: {
      n: INTEGER,
      d: { type: 'string', default: 'x', maxLength: 3 },
      list: { type: 'array', items: INTEGER },
      inner: { type: 'object', properties: { n: INTEGER, d: { default: 1 } } }
    }
  },
  union: {
    anyOf: [
      { type: 'object', required: ['n'], properties: { type: { const: 'say' }, n: INTEGER } },
      { type: 'object', required: ['type'], properties: { type: { const: 'bye' } } }
    ]
  },
  integer: INTEGER,
  'string or null': { type: ['string', 'null'] },
  list: { type: 'array', items: { type: 'boolean' } }
}

/** The options of Fastify's own ajv, of its documentation. */
const OPTIONS = {
  coerceTypes: 'array', useDefaults: true, removeAdditional: true, allErrors: false
} as const

/** Whether Fastify refuses a value: it would be a prototype where it is merged into an object. */
function isPoisoned (value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (Object.hasOwn(value, '__proto__')) return true
  const { constructor: own = null } = Object.hasOwn(value, 'constructor') ? value : {}
  if (typeof own === 'object' && own !== null && Object.hasOwn(own, 'prototype')) return true
  return Object.values(value).some(isPoisoned)
}

/** What the server answers to a message: the value that it has read, or a close code. */
type Oracle = (text: string) => string

function createOracle (schema: object): Oracle {
  const properties = { message: schema }
  const validate = new Ajv(OPTIONS).compile({ type: 'object', properties })
  return (text) => {
    const holder: { message?: unknown } = {}
    try {
      // Fastify takes a mark of the byte order away.
      holder.message = JSON.parse(text.replace(/^\ufeff/, ''))
    } catch {
      return '!1007'
    }
    if (isPoisoned(holder.message) || !validate(holder)) return '!1008'
    const { message = null } = holder
    return message === null ? '!1008' : JSON.stringify([message])
  }
}

/** Sends a text in fragments that have these lengths. */
function sendFragments ({ socket }: Client, text: string, lengths: readonly number[]): void {
  const bytes = Buffer.from(text)
  let start = 0
  for (const length of lengths) {
    socket.send(bytes.subarray(start, start + length), { binary: false, fin: false })
    start += length
  }
  socket.send(bytes.subarray(start), { binary: false })
}

const cases = fc.array(
  fc.record({ text: messageText, fragments: fc.array(fc.nat(20), { maxLength: 3 }) }),
  { minLength: 1, maxLength: 20 }
)

for (const [name, schema] of Object.entries(SCHEMAS)) {
  fuzz(`each message is taken or refused as by JSON.parse and ajv: ${name}`, cases, async (t) => {
    const oracle = createOracle(schema)
    const { origin } = await serve(t, {
      declare: (fastify) => {
        fastify.get('/', {
          websocket: {
            errorHandler: (error, { socket }) => {
              socket.send(`!${'closeCode' in error ? error.closeCode : error.message}`)
            }
          },
          schema: { incoming: schema }
        }, (connection) => {
          connection.on('data', (value) => { connection.socket.send(JSON.stringify([value])) })
        })
      }
    })
    return async (messages) => {
      const client = await connect(t, origin)
      for (const { text, fragments } of messages) sendFragments(client, text, fragments)
      for (const { text } of messages) {
        checkEqual(text, await soon(client.nextText(), text), oracle(text))
      }
      client.socket.terminate()
    }
  })
}
