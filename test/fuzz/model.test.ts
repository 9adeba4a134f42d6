import fc from 'fast-check'
import { test } from 'tap'
import { upgradeHead } from '../helpers/raw'
import { answerTo } from './answer'
import { split, splits } from './chunks'
import { closeFrame, conversations, type Leave } from './conversations'
import { CLOSE, type Frame } from './frames'
import { fuzz } from './fuzz'
import type { Peer } from './peer'
import { checkEqual, MAX_PAYLOAD, serveTarget } from './served'
import { comparable, messagesOf, OFFER, targets, type EchoTarget } from './targets'

const PLAIN_HEAD = Buffer.from(upgradeHead('/'))
const OFFERING_HEAD = Buffer.from(upgradeHead('/', { 'Sec-WebSocket-Extensions': OFFER }))

for (const [name, target] of Object.entries(targets)) {
  const { agreement, canCompress = false } = target
  const head = canCompress ? OFFERING_HEAD : PLAIN_HEAD
  const cases = fc.record({ conversation: conversations({ canCompress }), sizes: splits })

  fuzz(`${name} answers what it should`, cases, async (t) => {
    const served = await serveTarget(t, target)
    return async ({ conversation: { bytes, answers, leave }, sizes }) => {
      const isClosing = leave.kind === 'close'
      const isReset = leave.kind === 'reset'
      const isEarly = leave.isEarly && (isReset || target.earlyLeaves.includes(leave.kind))
      const expected = isClosing ? [...answers, closeAnswer(leave)] : answers
      const end = isClosing ? [closeFrame(leave.payload), leave.surplus] : []
      const now = isEarly ? end : []
      const frames = await served.visit(async (peer) => {
        await peer.write(split(Buffer.concat([head, bytes, ...now]), sizes))
        if (!isEarly) {
          await peer.until((frames) => isComplete(frames, answers, target))
          await peer.write(end)
        }
        await takeLeave(peer, leave)
        checkHead(peer, canCompress)
        return peer.frames
      })
      if (!isReset || !isEarly) {
        checkEqual('answers', comparable(frames, agreement), comparable(expected, agreement))
      }
      await served.checkUnharmed(t)
    }
  })
}

test('a conversation without compression has the answers of the protocol', async (t) => {
  const property = fc.property(conversations(), ({ bytes, answers }) => {
    checkEqual('answers', answerTo(bytes, MAX_PAYLOAD), answers)
  })
  fc.assert(property)
  t.pass('the two models agree')
})

function closeAnswer ({ payload }: Leave): Frame {
  return { opcode: CLOSE, payload }
}

/** Whether all answers have come, or more than that. */
function isComplete (
  frames: readonly Frame[], answers: readonly Frame[], { agreement }: EchoTarget
): boolean {
  const got = messagesOf(frames, agreement)
  const wanted = messagesOf(answers, agreement)
  const pongs = countOthers(frames) >= countOthers(answers)
  if (agreement !== 'bytes') return pongs && got.length >= wanted.length
  return pongs && Number(got[0]?.payload.length) >= Number(wanted[0]?.payload.length)
}

function countOthers (frames: readonly Frame[]): number {
  return frames.length - messagesOf(frames, 'kinds').length
}

async function takeLeave (peer: Peer, { kind }: Leave): Promise<void> {
  if (kind === 'reset') {
    peer.reset()
    return
  }
  // Who has said goodbye waits for the other to hang up.
  if (kind === 'close') await peer.until(() => false)
  await peer.end()
}

function checkHead ({ head }: Peer, isCompressed: boolean): void {
  if (head === '') return
  checkEqual('status', head.slice(0, 12), 'HTTP/1.1 101')
  const extensions = /^Sec-WebSocket-Extensions: (.+)$/mi.exec(head)?.[1]
  checkEqual('extensions', extensions !== undefined, isCompressed)
  if (extensions !== undefined) {
    checkEqual('parameters', OFFER.split('; ').sort(), extensions.split('; ').sort())
  }
}
