// Frames are read in front of ws, and the same must come of it as if ws had read them: the same
// messages and events, in order, the same close codes, the same bytes back. Deliberate differences:
//
// - While the application pauses a socket, its messages wait, and those of ws do not. So the order
//   between messages and other events is not compared.
// - The parts of a header are one chunk for `maxBufferedChunks`, which therefore has no limit here.
import fc from 'fast-check'
import { actions, actionsOf, clientFrames, readingOptions } from './any-frames'
import { split, splits } from './chunks'
import { encodeFrame } from './frames'
import { fuzz } from './fuzz'
import { readByWs, readHere, type End } from './reading'
import { checkEqual } from './served'

/** What was terminated gets no more chunks, and ws has all in one where it defers messages. */
const deferredActions = fc.oneof(actionsOf('pauses'), actionsOf('closes'))

const cases = fc.record({
  options: readingOptions,
  frames: clientFrames,
  sizes: splits,
  end: fc.constantFrom<End>('end', 'destroy')
})

/** Whether ws defers messages, and what listeners do. */
const modes = fc.oneof(
  fc.record({ allowSynchronousEvents: fc.constant(true), actions }),
  fc.record({ allowSynchronousEvents: fc.constant(false), actions: deferredActions })
)

fuzz('frames are read here as ws reads them', fc.tuple(cases, modes), async () => {
  return async ([example, { allowSynchronousEvents, actions }]) => {
    const { frames, sizes, end } = example
    const options = { ...example.options, allowSynchronousEvents }
    const chunks = split(Buffer.concat(frames.map(encodeFrame)), sizes)
    const reading = { options, chunks, actions, end }
    const [expected, told] = await Promise.all([readByWs(reading), readHere(reading)])
    checkEqual('messages', told.messages, expected.messages)
    checkEqual('other events', told.others, expected.others)
    checkEqual('bytes sent', told.sent, expected.sent)
  }
})
