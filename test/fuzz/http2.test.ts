// A WebSocket over HTTP/2 is one over HTTP/1: the application is told the same, in the same order,
// and the client gets the same bytes, however its bytes are cut into DATA frames. Deliberate
// differences, which are those of chance, of ws, or of TCP:
//
// - Messages that come before the reader does wait for it, and other events do not. How much has
//   come by then is chance, where the client sends before it is accepted. There the order between
//   messages and other events is not compared, nor which messages are answered before the end, and
//   the handler does nothing but answer.
// - With `allowSynchronousEvents: false`, what the application is told behind `terminate()` depends
//   on how much has come. So the handler does not terminate.
// - With `allowSynchronousEvents: false`, ws does not answer messages that it has deferred when the
//   end comes. So the end comes after them.
// - What the server has not read is lost with a reset. Over HTTP/1 the reset comes when the server
//   has read all. Over HTTP/2 it may be earlier: then the application is told less, in order.
// - A client that has sent a reset gets nothing more. So its answers are not compared.
// - How the server ends: over HTTP/2 `terminate()` is a reset, over HTTP/1 it is an end.
import fc from 'fast-check'
import { actions, clientFrames, readingOptions } from './any-frames'
import {
  serveCarried, type Account, type CarriedServer, type Leaving, type Reader, type Visit
} from './carried'
import { split, splits } from './chunks'
import { CLOSE, encodeFrame, PONG, ServerFrames, type Frame } from './frames'
import { fuzz } from './fuzz'
import { checkEqual } from './served'

const wrappings = fc.array(fc.record({
  padding: fc.oneof(fc.constant(null), fc.constantFrom(0, 1, 255), fc.nat(255)),
  empties: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(3) })
}), { minLength: 1, maxLength: 5 })

const leaving: fc.Arbitrary<Leaving> = fc.record({
  kind: fc.constantFrom('end', 'end', 'reset'),
  code: fc.constantFrom(0, 2, 5, 8),
  isEarly: fc.boolean()
})

const cases = fc.record({
  options: readingOptions,
  isDeferred: fc.boolean(),
  frames: clientFrames,
  sizes: splits,
  /** Where the client leaves, as a part of 1 of its chunks. */
  stop: fc.oneof(fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true })),
  wrappings,
  isEager: fc.boolean(),
  leaving,
  reader: fc.constantFrom<Reader>('listener', 'stream'),
  actions
})

fuzz('a WebSocket over HTTP/2 is one over HTTP/1', cases, async (t) => {
  const servers = new Map<string, Promise<[CarriedServer, CarriedServer]>>()
  return async ({ options: read, isDeferred, frames, sizes, stop, ...rest }) => {
    const options = { ...read, allowSynchronousEvents: !isDeferred }
    const key = JSON.stringify(options)
    const pair = servers.get(key) ?? Promise.all([
      serveCarried(t, 'HTTP/1', options), serveCarried(t, 'HTTP/2', options)
    ])
    servers.set(key, pair)
    const [http1, http2] = await pair
    const all = split(Buffer.concat(frames.map(encodeFrame)), sizes)
    const chunks = all.slice(0, Math.ceil(stop * all.length))
    const isByChance = rest.isEager || (isDeferred && rest.actions.includes('terminates'))
    const actions = isByChance ? [] : rest.actions
    const visit = { ...rest, isDeferred, chunks, actions }
    const { leaving } = visit
    const isEarly = leaving.isEarly && leaving.kind !== 'reset'
    const [expected, account] = await Promise.all([
      http1.receive({ ...visit, leaving: { ...leaving, isEarly } }), http2.receive(visit)
    ])
    compare(visit, expected, account, !read.skipUTF8Validation)
  }
})

/** @throws where the two differ in another way than the header of this file names */
function compare (
  { isEager, leaving }: Visit, expected: Account, account: Account, isUtf8Checked: boolean
): void {
  const isReset = leaving.kind === 'reset'
  if (isReset && leaving.isEarly) {
    for (const kind of isEager ? [ofMessages, ofControls] : [ofFrames]) {
      const told = kind(account.told)
      checkEqual('frames', told, kind(expected.told).slice(0, told.length))
    }
    return
  }
  checkEqual('messages', ofMessages(account.told), ofMessages(expected.told))
  checkEqual('other events', ofOthers(account.told), ofOthers(expected.told))
  if (!isEager) checkEqual('order', account.told, expected.told)
  if (isReset) return
  if (isEager) {
    const [answers, others] = [account, expected].map(({ received }) => {
      return controlsOf(received, isUtf8Checked)
    })
    checkEqual('answers', answers, others)
  } else checkEqual('bytes back', account.received, expected.received)
}

type Told = Account['told']

/** Events that frames have brought about. */
function ofFrames (told: Told): Told {
  return told.filter(([event]) => ['message', 'ping', 'pong'].includes(String(event)))
}

function ofControls (told: Told): Told {
  return told.filter(([event]) => ['ping', 'pong'].includes(String(event)))
}

function ofMessages (told: Told): Told {
  return told.filter(([event]) => event === 'message')
}

function ofOthers (told: Told): Told {
  return told.filter(([event]) => event !== 'message')
}

/** The pongs and the close frame of a server. */
function controlsOf (bytes: Buffer, isUtf8Checked: boolean): readonly Frame[] {
  const decoder = new ServerFrames(isUtf8Checked)
  decoder.push(bytes)
  return decoder.frames.filter(({ opcode }) => opcode === PONG || opcode === CLOSE)
}
