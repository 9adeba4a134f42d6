/**
 * The states of the answer to an upgrade, and what each state allows. `upgrade-answer.ts` keeps the
 * state and does what the two tables of this file say.
 *
 * | state      | meaning                                                        | next states  |
 * |------------|----------------------------------------------------------------|--------------|
 * | queued     | the response to an earlier request has the socket              | hooks        |
 * | hooks      | the hooks of the application run                               | checking, R  |
 * | checking   | the route has the upgrade: `origin` and `verifyClient` decide  | accepting, R |
 * | accepting  | the reply with 101 runs through the `onSend` hooks             | switched, R  |
 * | refusing   | another reply runs through these hooks, or is being written    | failing      |
 * | failing    | that reply is an error or has failed: an error handler is next | recovering   |
 * | recovering | the reply of an error handler runs through these hooks, or is  | failing      |
 * |            | being written                                                  |              |
 * | switched   | the handshake is done: ws has the socket                       | none         |
 * | gone       | the refusal is written, the client has left, or the socket has | none         |
 * |            | another owner                                                  |              |
 *
 * R stands for `refusing` or, after an error, `failing`. Each state but `switched` may also become
 * `gone`. From `switched` and `gone` on, the answer no longer touches the socket. The hooks of a
 * request run on when its client has left, so replies then follow the state of {@link lateState}.
 */

/** The status of a response that has not been given one, and of the handshake over HTTP/2. */
export const OK = 200

/** The status of the handshake; over HTTP/2, only hooks see it. */
export const SWITCHING = 101

/** An answer other than the handshake has begun, and is not out. */
export type RefusalState = 'refusing' | 'failing' | 'recovering'

/** See the table in the header of this file. */
export type AnswerState =
  'queued' | 'hooks' | 'checking' | 'accepting' | RefusalState | 'switched' | 'gone'

/** Whether the answer is out, or cannot be given any more. */
export function isSettled (state: AnswerState): boolean {
  return state === 'switched' || state === 'gone'
}

/** Whether an answer other than the handshake has begun, and is not out. */
export function isRefused (state: AnswerState): state is RefusalState {
  return state === 'refusing' || state === 'failing' || state === 'recovering'
}

/** The states in which a `reply.send` is judged. */
export type ReplyState = Exclude<AnswerState, 'gone'>

/** The state for replies when the answer becomes `gone` in `state`. */
export function lateState (state: AnswerState): ReplyState {
  if (isRefused(state)) return state
  // The reply with 101 may still be in the `onSend` hooks: another one would be the second.
  return state === 'accepting' ? 'refusing' : 'hooks'
}

// --- reply.send ---

/**
 * What `reply.send` was called with.
 *
 * - `nothing`: the `undefined` that Fastify sends after an async function which returned nothing.
 *   Plugins put such functions around handlers. An application that answers without a payload
 *   calls `reply.send()` without an argument or sets another status, and that is a `payload`.
 * - `timeout`: the error of Fastify's `handlerTimeout`
 * - `error`: another error
 * - `payload`: anything else
 */
export type Sent = 'nothing' | 'timeout' | 'error' | 'payload'

/**
 * What happens to a `reply.send`.
 *
 * - `pass`: Fastify sends it, and the state becomes that of {@link afterSend}.
 * - `overtake`: the error is written at once, past Fastify. The hook that holds the earlier answer
 *   back would hold this one back as well.
 * - `drop`: it is a second answer, so a line in the log says that it is dropped.
 * - `ignore`: it is no answer.
 */
export type SendVerdict = 'pass' | 'overtake' | 'drop' | 'ignore'

type SendVerdicts = Readonly<Record<Sent, SendVerdict>>

const PASS: SendVerdicts = { nothing: 'pass', timeout: 'pass', error: 'pass', payload: 'pass' }

/** What happens to a `reply.send` in each state. */
export const ON_SEND: Readonly<Record<ReplyState, SendVerdicts>> = {
  queued: PASS,
  hooks: PASS,
  checking: { nothing: 'ignore', timeout: 'pass', error: 'pass', payload: 'pass' },
  accepting: { nothing: 'ignore', timeout: 'overtake', error: 'pass', payload: 'pass' },
  // If this answer fails, Fastify runs its `onError` hooks, and the state becomes `failing`.
  refusing: { nothing: 'ignore', timeout: 'overtake', error: 'drop', payload: 'drop' },
  failing: { nothing: 'pass', timeout: 'overtake', error: 'pass', payload: 'pass' },
  // If this answer fails, Fastify runs no hooks again: the next error handler sends the error.
  recovering: { nothing: 'ignore', timeout: 'overtake', error: 'pass', payload: 'drop' },
  switched: PASS
}

/** The state after a `reply.send` that passes, unless the answer is settled. */
export function afterSend (state: ReplyState, sent: Sent): RefusalState {
  if (sent === 'error' || sent === 'timeout') return 'failing'
  return state === 'failing' || state === 'recovering' ? 'recovering' : 'refusing'
}

// --- raw.writeHead ---

/**
 * What happens to a head that is written to the raw response.
 *
 * - `switch`: the `end` behind it performs the handshake
 * - `write`: it is written, and the answer is a refusal
 * - `fail`: it is a 101 that is not the handshake, so an error is the answer, unless it is settled
 * - `drop`: the head, and the `end` behind it, do nothing
 * - `drop late`: the same, with a line in the log, because another answer has overtaken this one
 */
export type HeadVerdict = 'switch' | 'write' | 'fail' | 'drop' | 'drop late'

/** What happens in each state to the head of a 101, and to any other head. */
const ON_HEAD: Readonly<Record<AnswerState, readonly [of101: HeadVerdict, other: HeadVerdict]>> = {
  queued: ['fail', 'write'],
  hooks: ['fail', 'write'],
  checking: ['fail', 'write'],
  accepting: ['switch', 'write'],
  refusing: ['fail', 'write'],
  failing: ['fail', 'write'],
  recovering: ['fail', 'write'],
  switched: ['drop', 'drop'],
  // The socket may belong to the application, which may use the response to answer on it.
  gone: ['fail', 'write']
}

/** What else decides about a head. */
export interface Head {
  readonly is101: boolean
  /** The 101, or an error past Fastify, has begun: the head of another answer may come late. */
  readonly hasBegun: boolean
  /** Node.js has got the head of an answer already. */
  readonly headersSent: boolean
}

/** What happens to a head in a state: what the table says, unless the head comes too late. */
export function judgeHead (
  state: AnswerState, { is101, hasBegun, headersSent }: Head
): HeadVerdict {
  const isOvertaken = hasBegun && state !== 'accepting' && state !== 'switched'
  if (isOvertaken && (is101 || headersSent)) return 'drop late'
  const [of101, other] = ON_HEAD[state]
  return is101 ? of101 : other
}
