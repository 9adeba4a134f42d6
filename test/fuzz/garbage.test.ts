import fc from 'fast-check'
import { echo } from '../helpers/plugin'
import { upgradeHead } from '../helpers/raw'
import { answerTo } from './answer'
import { split, splits } from './chunks'
import { CLOSE, PONG, type Frame } from './frames'
import { fuzz } from './fuzz'
import { garbage, openings } from './garbage'
import type { Peer } from './peer'
import { checkEqual, MAX_PAYLOAD, serveTarget } from './served'
import { comparable, messagesOf, OFFER, targets, type Agreement, type EchoTarget } from './targets'

const PLAIN_HEAD = Buffer.from(upgradeHead('/'))
const OFFERING_HEAD = Buffer.from(upgradeHead('/', { 'Sec-WebSocket-Extensions': OFFER }))

for (const [name, target] of Object.entries(targets)) {
  // Whoever ends while a hook waits is not answered.
  if (target.declare !== undefined) continue
  const { canCompress = false } = target
  const head = canCompress ? OFFERING_HEAD : PLAIN_HEAD
  const cases = fc.record({ bytes: garbage({ canCompress }), sizes: splits })

  fuzz(`${name} survives garbage`, cases, async (t) => {
    const served = await serveTarget(t, target)
    return async ({ bytes, sizes }) => {
      const frames = await served.visit(async (peer) => {
        await peer.write(split(Buffer.concat([head, bytes]), sizes))
        await peer.end()
        checkEqual('status', peer.head.slice(0, 12), 'HTTP/1.1 101')
        return peer.frames
      })
      // What is wrong inside compressed data, only zlib knows; the answers are well-formed.
      if (!canCompress) checkAnswers(frames, answerTo(bytes, MAX_PAYLOAD), target)
      await served.checkUnharmed(t)
    }
  })
}

fuzz(
  'no handshake and nothing behind it does harm',
  fc.record({ bytes: openings, sizes: splits }),
  async (t) => {
    const served = await serveTarget(t, { handler: echo })
    return async ({ bytes, sizes }) => {
      await served.visit(async (peer) => {
        await peer.write(split(bytes, sizes))
        await peer.end()
        checkResponse(peer)
      })
      await served.checkUnharmed(t)
    }
  }
)

/** Whoever takes its time may have answered less when the client is gone. */
function checkAnswers (
  frames: readonly Frame[], expected: readonly Frame[], { agreement }: EchoTarget
): void {
  if (agreement === 'all') {
    checkEqual('answers', comparable(frames, agreement), comparable(expected, agreement))
    return
  }
  const messages = messagesOf(frames, agreement)
  checkEqual('messages', messages, beginning(messagesOf(expected, agreement), messages, agreement))
  const ofType = (opcode: number) => (frame: Frame) => frame.opcode === opcode
  checkEqual('pongs', frames.filter(ofType(PONG)), expected.filter(ofType(PONG)))
  // While messages wait for a late reader, the socket is paused. When it is read again, a bad frame
  // and the end of the client come at once, and ws answers the end before it refuses the frame.
  const closes = frames.filter(ofType(CLOSE))
  checkEqual('close frames', closes, expected.filter(ofType(CLOSE)).slice(0, closes.length))
}

/** The part of what was expected that is as long as what came. */
function beginning (expected: Frame[], actual: Frame[], agreement: Agreement): Frame[] {
  if (agreement !== 'bytes') return expected.slice(0, actual.length)
  return expected.map(({ opcode, payload }, i) => {
    return { opcode, payload: payload.subarray(0, actual[i]?.payload.length) }
  })
}

/** Answers in HTTP, or a WebSocket conversation, or nothing. */
function checkResponse (peer: Peer): void {
  const { head, rest, frames } = peer
  if (head === '') checkEqual('bytes', rest.toString('latin1'), '')
  else checkEqual('protocol', head.slice(0, 9), 'HTTP/1.1 ')
  if (!head.startsWith('HTTP/1.1 101 ')) checkEqual('frames', frames, [])
}
