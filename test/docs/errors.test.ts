// The guide to errors: its programs run, and its tables are those of the source.
import t, { test } from 'tap'
import * as errors from '../../src/errors'
import * as streamErrors from '../../src/stream/errors'
import * as topicErrors from '../../src/topics/errors'
import { connect, refused } from '../helpers/client'
import { Document, unquote, type Scenario } from '../helpers/documents'

t.setTimeout(120_000)

const GUIDE = new Document('docs/errors.md')

const SCENARIOS: readonly Scenario[] = [
  {
    marker: 'setErrorHandler',
    async check (t, origin) {
      t.match(await refused(t, `${origin}/rooms/x`), {
        statusCode: 400, body: '{"sorry":"no connection"}'
      })
      const client = await connect(t, `${origin}/rooms/7`)
      t.equal(await client.nextText(), 'welcome')
    }
  },
  {
    marker: 'I do not understand',
    async check (t, origin) {
      const client = await connect(t, `${origin}/fail`)
      client.send('hello')
      t.same(await client.closed, { code: 1011, reason: 'sorry' })
    }
  }
]

test('every program of the guide does what it says', async (t) => {
  await GUIDE.run(t, SCENARIOS)
})

test('the tables of errors have each code of the source once, with its status', async (t) => {
  const documented = new Map(GUIDE.rows('code').map(([code, status]) => [unquote(code), status]))
  t.equal(documented.size, GUIDE.rows('code').length)
  const exported: unknown[] = Object.values({ ...errors, ...streamErrors, ...topicErrors })
  const classes = exported.filter(isErrorClass)
  const known = new Map(classes.map((ErrorClass) => {
    const { code, statusCode } = new ErrorClass()
    return [code, statusCode === undefined ? '–' : String(statusCode)]
  }))
  // The status is that of the answer, so the class has none of its own to tell.
  known.set('FST_WS_INJECT_REFUSED', 'as answered')
  t.strictSame(documented, known)
})

interface CodedError {
  readonly code: string
  readonly statusCode: number | undefined
}

/** A function whose prototype is an Error is a class of errors, here without needed arguments. */
function isErrorClass (value: unknown): value is new () => CodedError {
  return typeof value === 'function' && value.prototype instanceof Error
}
