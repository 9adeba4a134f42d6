import { test } from 'tap'
import { once } from 'node:events'
import type { Server } from 'node:http'
import { WebSocketServer, type WebSocket } from 'ws'
import { WebSocketStreamServer } from '../../src/stream/server'
import { RawClient, upgradeHead } from '../helpers/raw'
import { createHttp, portOf, type Teardown } from '../helpers/servers'
import { turn, until } from '../helpers/streams'

// Whatever is sent, in whatever mix, a client must get the very bytes that plain ws sends: packing
// and corking change how frames are handed to the system and nothing else.

const CASES = 60
const OPERATIONS = 80
/** Close frame with code 1000, which ends every case. */
const CLOSE_FRAME = Buffer.from([0x88, 2, 0x03, 0xe8])

type Operation = (socket: WebSocket, log: string[]) => unknown

/** ws sends the bytes that are there, whatever `length` says. */
class Longer extends Uint8Array {
  override get length (): number {
    return 5000
  }
}

/** Numbers from 0 to below 1 that depend on `seed` alone. */
function createRandom (seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1664525 + 1013904223) % 2 ** 32
    return state / 2 ** 32
  }
}

const ALPHABET = ['a', 'é', '€', '𝄞', '\u0000']

function createOperation (random: () => number, index: number): Operation {
  const below = (limit: number): number => Math.floor(random() * limit)
  const lengths = [0, 1, 30, 125, 126, 1000, 4000, 4096, 4097, 70_000]
  const length = lengths[below(lengths.length)] ?? 0
  const letter = ALPHABET[below(ALPHABET.length)] ?? 'a'
  const text = letter.repeat(Math.ceil(length / letter.length))
  const bytes = Buffer.alloc(length, index)
  const no = [null, undefined, 0][below(3)]
  const onSent = (log: string[]) => (error?: Error | null): void => {
    log.push(`${index} ${error == null ? 'sent' : 'failed'}`)
  }
  const operations: Operation[] = [
    (socket) => socket.send(text),
    (socket) => socket.send(bytes),
    (socket) => socket.send(text, { binary: true }),
    (socket) => socket.send(bytes, { binary: false }),
    (socket) => socket.send(text, { binary: 1 as never }),
    (socket) => socket.send(bytes, { binary: no as never }),
    (socket) => socket.send(bytes, { fin: 1 as never }),
    (socket) => socket.send(new Longer(bytes)),
    (socket) => socket.send(new Uint16Array([index, 2, 3])),
    (socket) => socket.send(new Uint8Array(bytes).buffer),
    (socket) => socket.send(index),
    (socket) => socket.send(new Blob([bytes])),
    (socket, log) => socket.send(text, onSent(log)),
    (socket, log) => socket.send(bytes, { binary: true }, onSent(log)),
    (socket) => socket.send(bytes, { fin: false }),
    (socket) => socket.send(text, { compress: false }),
    (socket) => socket.ping(text.slice(0, 10)),
    (socket, log) => socket.pong('pong', false, onSent(log)),
    () => turn(),
    () => Promise.resolve()
  ]
  return operations[below(operations.length)] ?? turn
}

interface Outcome {
  readonly bytes: Buffer
  readonly log: string[]
}

/** Runs the operations on a connection of `server` and returns all that its client got. */
async function run (
  t: Teardown, http: Server, server: WebSocketServer, operations: Operation[], extensions: string
): Promise<Outcome> {
  const client = new RawClient(t, portOf(http))
  const headers = extensions === '' ? {} : { 'Sec-WebSocket-Extensions': extensions }
  client.write(upgradeHead('/', headers))
  const [socket] = await once(server, 'connection')
  const log: string[] = []
  for (const operation of operations) await operation(socket, log)
  // A message in fragments is ended, for a control frame and nothing else may be inside it.
  socket.send('end', { fin: true })
  socket.close(1000)
  await until(() => client.received.subarray(-4).equals(CLOSE_FRAME))
  // The callbacks of what was written last come after it.
  await until(() => socket.bufferedAmount === 0)
  await turn()
  client.socket.destroy()
  return { bytes: client.received, log }
}

const COMPRESSIONS = [
  { title: 'without compression', extensions: '', perMessageDeflate: false },
  { title: 'with permessage-deflate', extensions: 'permessage-deflate', perMessageDeflate: true },
  {
    title: 'with permessage-deflate for longer messages only',
    extensions: 'permessage-deflate; server_no_context_takeover',
    perMessageDeflate: { threshold: 100_000 }
  }
]

for (const { title, extensions, perMessageDeflate } of COMPRESSIONS) {
  test(`sends the very bytes that plain ws sends, ${title}`, async (t) => {
    const { server: ourHttp } = await createHttp(t)
    const { server: plainHttp } = await createHttp(t)
    const ours = new WebSocketStreamServer({ server: ourHttp, perMessageDeflate })
    const plain = new WebSocketServer({ server: plainHttp, perMessageDeflate })

    for (let seed = 1; seed <= CASES; seed++) {
      const random = createRandom(seed)
      const operations = Array.from({ length: OPERATIONS }, (_, index) => {
        return createOperation(random, index)
      })
      const [actual, expected] = await Promise.all([
        run(t, ourHttp, ours, operations, extensions),
        run(t, plainHttp, plain, operations, extensions)
      ])
      const where = `differ with seed ${seed}`
      if (!actual.bytes.equals(expected.bytes)) {
        t.equal(actual.bytes.toString('hex'), expected.bytes.toString('hex'), `bytes ${where}`)
        return
      }
      t.same(actual.log, expected.log, `callbacks must not ${where}`)
    }
  })
}
