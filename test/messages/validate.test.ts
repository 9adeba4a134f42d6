import { test } from 'tap'
import { createValidate, type Validator } from '../../src/messages/validate'

const INVALID = 'FST_WS_INVALID_MESSAGE'

/** A validator that answers `answer`, with `errors` on it. */
function answering (answer: unknown, errors?: unknown): Validator {
  return Object.assign(() => answer, { errors })
}

const TAKEN: ReadonlyArray<readonly [title: string, validator: Validator, value: unknown]> = [
  ['true', answering(true), 'given'],
  ['nothing', answering(undefined), 'given'],
  ['null', answering(null), 'given'],
  ['an empty object', answering({}), 'given'],
  ['a value', answering({ value: 'new' }), 'new'],
  ['a value that is undefined', answering({ value: undefined }), undefined],
  ['a value and no error', answering({ value: 'new', error: null }), 'new']
]

for (const [title, validator, value] of TAKEN) {
  test(`a validator that answers ${title} takes the message`, async (t) => {
    t.equal(createValidate(validator, '/')('given'), value)
  })
}

const cause = new Error('why')

const REFUSED: ReadonlyArray<readonly [title: string, validator: Validator, text: string]> = [
  ['false and no errors', answering(false), 'message is not valid'],
  ['false and null', answering(false, null), 'message is not valid'],
  ['false and an empty list', answering(false, []), 'message is not valid'],
  [
    'false and a list',
    answering(false, [{ instancePath: '/a', message: 'is bad' }, { message: 'lacks b' }, {}]),
    'message/a is bad, message lacks b, message is not valid'
  ],
  ['an error', answering({ error: cause }), 'why'],
  ['a list of errors', answering({ error: [{ instancePath: '/a', message: 'x' }] }), 'message/a x'],
  ['an error that is a text', answering({ error: 'bad' }), 'message is not valid']
]

for (const [title, validator, message] of REFUSED) {
  test(`a validator that answers ${title} refuses the message`, async (t) => {
    t.throws(() => createValidate(validator, '/')('given'), { code: INVALID, message })
  })
}

test('the error of a validator is the cause', async (t) => {
  t.throws(() => createValidate(answering({ error: cause }), '/')('given'), { cause })
})

test('a validator of ajv that throws leaves nothing for the next message', async (t) => {
  let isBroken = true
  const validator: Validator = Object.assign((value: unknown) => {
    if (isBroken) throw new Error(`broken by ${value}`)
    return true
  }, { schemaEnv: {} })
  const validate = createValidate(validator, '/')
  t.throws(() => validate('one'), { message: 'broken by one' })
  isBroken = false
  t.equal(validate('two'), 'two')
})

test('a validator that a message makes recurse too deep refuses the message', async (t) => {
  const validator: Validator = () => { throw new RangeError('Maximum call stack size exceeded') }
  t.throws(() => createValidate(validator, '/')('given'), {
    code: INVALID, message: 'message is nested too deep', cause: { name: 'RangeError' }
  })
})

test('the text of an error of a validator is cut, and a long error is no cause', async (t) => {
  const validate = createValidate(answering({ error: new Error('x'.repeat(5000)) }), '/')
  t.throws(() => validate('given'), { code: INVALID, message: 'x'.repeat(1000), cause: undefined })
})
