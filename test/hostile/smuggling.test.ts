import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import { echo } from '../helpers/plugin'
import { upgradeHead } from '../helpers/raw'
import { answerOf, Siege } from '../helpers/siege'

/** Header lines that say how long a body is, or seem to. */
const LENGTHS = [
  'Content-Length: 0', 'Content-Length: 00', 'Content-Length: 5', 'Content-Length: 5\t',
  'Content-Length: +5', 'Content-Length: -5', 'Content-Length: 0x5', 'Content-Length: 5, 5',
  'Content-Length: 0, 5', 'Content-Length:', 'Content-Length : 5', 'Content-Length:\r\n 5',
  'Content-Length: 0\r\nContent-Length: 5', 'Content-Length: 5\r\nContent-Length: 5',
  'Content-Length: 99999999999999999999', 'content-length: 5'
]

const ENCODINGS = [
  'Transfer-Encoding: chunked', 'Transfer-Encoding: CHUNKED', 'Transfer-Encoding:\tchunked',
  'Transfer-Encoding: \x0bchunked', 'Transfer-Encoding: xchunked', 'Transfer-Encoding: identity',
  'Transfer-Encoding: chunked, identity', 'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: "chunked"', 'Transfer-Encoding:', 'Transfer-Encoding : chunked',
  'Transfer-Encoding:\r\n chunked', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
  'Transfer-Encoding: identity\r\nTransfer-Encoding: chunked', 'transfer-encoding: chunked'
]

/** A body that is complete by either measure: five bytes, and the last of all chunks. */
const BODY = '0\r\n\r\n'

const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'

function combinations (): string[] {
  const pairs = LENGTHS.flatMap((length) => ENCODINGS.flatMap((encoding) => {
    return [`${length}\r\n${encoding}`, `${encoding}\r\n${length}`]
  }))
  return [...LENGTHS, ...ENCODINGS, ...pairs]
}

/** What says of the body that there is none. */
const IS_EMPTY = /^Content-Length: 00?$/

/** To a lenient parser, the space before the colon is part of a name that means nothing. */
const MAY_BE_UNKNOWN = new RegExp([
  '^(Content-Length : 5|Transfer-Encoding : chunked|Content-Length: 00?)',
  '(\r\n(Content-Length : 5|Transfer-Encoding : chunked|Content-Length: 00?))?$'
].join(''))

test('no request follows a handshake with a body', async (t) => {
  await attackWithHandshakes(t, await Siege.begin(t, { plugin: { handle: echo } }), true)
})

test('no request follows a handshake with a body that a lenient parser takes', async (t) => {
  const server = { http: { insecureHTTPParser: true } }
  await attackWithHandshakes(t, await Siege.begin(t, { server, plugin: { handle: echo } }), false)
})

test('a request for another protocol is as long as a plain one', async (t) => {
  const siege = await Siege.begin(t, { declare: declareBodies })
  const seen = new Set<string>()
  for (const lines of combinations()) {
    const head = 'POST /body HTTP/1.1\r\nHost: localhost\r\n'
    const rest = `${lines}\r\n\r\n${BODY}${SMUGGLED}`
    const plain = head + rest
    const other = `${head}Connection: Upgrade\r\nUpgrade: h2c\r\n${rest}`
    siege.requests.length = 0
    const wanted = statusesOf(await siege.attack(t, plain))
    const wantedRequests = siege.requests.splice(0)
    const statuses = statusesOf(await siege.attack(t, other))
    t.strictSame(statuses, wanted, JSON.stringify(lines))
    t.strictSame(siege.requests, wantedRequests)
    seen.add(wanted.join())
  }
  t.ok(seen.has('200,200'), 'a body that is well formed is one')
  t.ok(seen.has('400'))
  // Fastify tells of every body that is too large.
  await siege.assertUnharmed(t, 2 * combinations().length)
  await siege.end(t)
})

function declareBodies (fastify: FastifyInstance): void {
  const parse = async (_request: unknown, body: unknown): Promise<unknown> => body
  fastify.addContentTypeParser('*', { parseAs: 'string' }, parse)
  fastify.post('/body', async ({ body }) => ({ body }))
  fastify.get('/smuggled', async () => 'smuggled')
}

function statusesOf (received: Buffer): string[] {
  const heads = received.toString('latin1').matchAll(/HTTP\/1\.1 (\d{3}) /g)
  return [...heads].map(([, status]) => String(status))
}

async function attackWithHandshakes (t: Test, siege: Siege, isStrict: boolean): Promise<void> {
  let framed = 0
  for (const lines of combinations()) {
    const head = upgradeHead('/echo').replace('\r\n\r\n', `\r\n${lines}\r\n\r\n`)
    const received = await siege.attack(t, head + BODY + SMUGGLED)
    const answer = answerOf(received)
    // Where there is no body, what follows the head are frames, and these are bad ones.
    const isFramed = IS_EMPTY.test(lines) || (!isStrict && MAY_BE_UNKNOWN.test(lines))
    t.equal(answer, isFramed ? 1002 : 400, JSON.stringify(lines))
    t.equal(statusesOf(received).length, 1, 'one answer alone')
    if (isFramed) framed++
  }
  t.notMatch(siege.requests.join('\n'), /smuggled/)
  await siege.assertUnharmed(t, framed)
  await siege.end(t)
}
