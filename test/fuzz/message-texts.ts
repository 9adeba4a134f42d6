/** Texts of messages, many of them nearly right. */
import fc from 'fast-check'

/** Keys of JSON, as they stand in the text. */
const KEYS = [
  '"n"', '"d"', '"list"', '"inner"', '"other"', '"type"',
  '"__proto__"', '"\\u005f_proto__"', '"constructor"', '"prototype"'
]

/** Values of JSON, as they stand in the text. */
const LEAVES = [
  '0', '1', '-1.5', '1e400', '"5"', '"x"', '""', '"say"', '"bye"', '"\\ud800"',
  'true', 'false', 'null'
]

const { value } = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    fc.constantFrom(...LEAVES),
    fc.array(tie('value'), { maxLength: 3 }).map((items) => `[${items.join()}]`),
    fc.array(fc.tuple(fc.constantFrom(...KEYS), tie('value')), { maxLength: 4 })
      .map((members) => `{${members.map(([key, member]) => `${key}:${member}`).join()}}`)
  )
}))

/** A text that is no JSON any more, most often: a character of it is another one, or is missing. */
const broken = fc.tuple(value, fc.nat(), fc.constantFrom('', '"', '{', ',', '\\', '\u0000', '€'))
  .map(([text, position, character]) => {
    const at = position % text.length
    return text.slice(0, at) + character + text.slice(at + 1)
  })

const ODD = [
  '', ' ', '\ufeff1', '\ufeff', '\ufeff{"n":1}', ' {"n":1}\n', '{"n":1}{"n":1}', 'undefined', '-'
]

/** The text of a message. */
export const messageText = fc.oneof(
  { weight: 6, arbitrary: value },
  { weight: 2, arbitrary: broken },
  { weight: 2, arbitrary: fc.json() },
  { weight: 1, arbitrary: fc.constantFrom(...ODD) }
)
