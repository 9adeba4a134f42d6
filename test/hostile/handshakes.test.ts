import { test } from 'tap'
import { echo } from '../helpers/plugin'
import { frame, upgradeHead } from '../helpers/raw'
import { Siege, NO_ANSWER, type Attack } from '../helpers/siege'

/** A close frame with code 1000, which is echoed by whoever has accepted the handshake. */
const GOODBYE = frame(0x88, Buffer.from([0x03, 0xe8])).toString('latin1')
const ACCEPTED = 1000

/** What makes a plain request end its connection, so that the attacker sees the end, too. */
const FAREWELL = 'GET /farewell HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'

/** A pipelined request that must never be served. */
const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='

/** A valid head with `lines` behind its last header. */
function headWith (path: string, lines: string): string {
  return upgradeHead(path).replace('\r\n\r\n', `\r\n${lines}\r\n\r\n`)
}

function headWithout (path: string, name: string): string {
  return upgradeHead(path).replace(new RegExp(`${name}:.*\r\n`), '')
}

function refusalsOf (path: string): Attack[] {
  const head = upgradeHead(path)
  return [
    ['version 12', 426, upgradeHead(path, { 'Sec-WebSocket-Version': '12' })],
    ['version 013', 426, upgradeHead(path, { 'Sec-WebSocket-Version': '013' })],
    ['version 13.0', 426, upgradeHead(path, { 'Sec-WebSocket-Version': '13.0' })],
    ['a list of versions', 426, upgradeHead(path, { 'Sec-WebSocket-Version': '13, 8' })],
    ['no version', 426, headWithout(path, 'Sec-WebSocket-Version')],
    ['no key', 400, headWithout(path, 'Sec-WebSocket-Key')],
    ['an empty key', 400, upgradeHead(path, { 'Sec-WebSocket-Key': '' })],
    ['a short key', 400, upgradeHead(path, { 'Sec-WebSocket-Key': 'c2hvcnQ=' })],
    ['a long key', 400, upgradeHead(path, { 'Sec-WebSocket-Key': `xxxx${KEY}` })],
    ['a key with another letter', 400, upgradeHead(path, { 'Sec-WebSocket-Key': '?'.repeat(24) })],
    ['a second key', 400, headWith(path, `Sec-WebSocket-Key: ${KEY}`)],
    ['a second version', 426, headWith(path, 'Sec-WebSocket-Version: 13')],
    ['a subprotocol without a name', 400, upgradeHead(path, { 'Sec-WebSocket-Protocol': ',' })],
    ['a subprotocol twice', 400, upgradeHead(path, { 'Sec-WebSocket-Protocol': 'a, a' })],
    ['POST', 405, head.replace('GET', 'POST')],
    ['HEAD', 405, head.replace('GET', 'HEAD')],
    ['OPTIONS', 405, head.replace('GET', 'OPTIONS')],
    ['TRACE', 405, head.replace('GET', 'TRACE')],
    ['CONNECT', NO_ANSWER, head.replace('GET', 'CONNECT')],
    ['an unknown method', 400, head.replace('GET', 'FOO')],
    ['a method in small letters', 400, head.replace('GET', 'get')],
    ['no method', 400, head.replace('GET ', '')],
    ['HTTP/0.9', 400, head.replace('HTTP/1.1', 'HTTP/0.9')],
    ['HTTP/1.0', 400, head.replace('HTTP/1.1', 'HTTP/1.0')],
    ['HTTP/2.0 in lines', 400, head.replace('HTTP/1.1', 'HTTP/2.0')],
    ['HTTP/9.9', 400, head.replace('HTTP/1.1', 'HTTP/9.9')],
    ['no version of HTTP', 400, head.replace(' HTTP/1.1', '')],
    ['no Host', 400, headWithout(path, 'Host')],
    ['a second Host', 400, headWith(path, 'Host: other')],
    ['3000 headers', 431, headWith(path, 'a: b\r\n'.repeat(3000) + 'a: b')],
    ['1000 headers', 431, headWith(path, 'a: b\r\n'.repeat(994) + 'a: b')],
    ['a header of 100 kB', 431, headWith(path, `a: ${'b'.repeat(100_000)}`)],
    ['a header name of 100 kB', 431, headWith(path, `${'a'.repeat(100_000)}: b`)],
    ['a URL of 100 kB', 431, upgradeHead(`${path}?${'a'.repeat(100_000)}`)],
    ['NUL in a header value', 400, headWith(path, 'a: b\0c')],
    ['NUL in a header name', 400, headWith(path, 'a\0b: c')],
    ['NUL in the URL', 400, upgradeHead(`${path}\0`)],
    ['CR in a header value', 400, headWith(path, 'a: b\rc')],
    ['LF in a header value', 400, headWith(path, 'a: b\nc')],
    ['lines that end with LF alone', 400, head.replaceAll('\r\n', '\n')],
    ['a folded header', 400, headWith(path, 'a: b\r\n c')],
    ['a space before a colon', 400, headWith(path, 'a : b')],
    ['a header without a colon', 400, headWith(path, 'a')],
    ['a header without a name', 400, headWith(path, ': b')],
    ['a space in the URL', 400, upgradeHead(`${path} x`)],
    ['a URL that starts with a letter', 400, upgradeHead(path.slice(1))],
    ['a URL with a broken escape', 400, upgradeHead('/%zz')],
    ['an encrypted hello', 400, '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['the preface of HTTP/2', 400, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a frame', 400, GOODBYE],
    ['noise', 400, '\xff\xfe\xfd\r\n\r\n']
  ]
}

function acceptedOf (path: string): Attack[] {
  const heads: Array<[name: string, head: string]> = [
    ['a handshake', upgradeHead(path)],
    ['"websocket, h2c"', upgradeHead(path, { Upgrade: 'websocket, h2c' })],
    ['"h2c, WebSocket"', upgradeHead(path, { Upgrade: 'h2c, WebSocket' })],
    ['a second Upgrade', headWith(path, 'Upgrade: websocket')],
    ['a second Connection', headWith(path, 'Connection: keep-alive')],
    ['"Connection: close, upgrade"', upgradeHead(path, { Connection: 'close, upgrade' })],
    ['a second Origin', headWith(path, 'Origin: http://a\r\nOrigin: http://b')],
    ['an absolute URL', upgradeHead(`http://elsewhere${path}`)],
    ['a query of 10 kB', upgradeHead(`${path}?${'a'.repeat(10_000)}`)],
    ['bytes above ASCII in a header', headWith(path, 'a: \xe9\xff')],
    ['an extension that nobody knows', headWith(path, 'Sec-WebSocket-Extensions: ;;=')],
    ['empty lines before the head', `\r\n\r\n${upgradeHead(path)}`],
    ['900 headers', headWith(path, 'a: b\r\n'.repeat(900) + 'a: b')],
    ['version 8', upgradeHead(path, { 'Sec-WebSocket-Version': '8' })]
  ]
  return heads.map(([name, head]) => [name, ACCEPTED, head + GOODBYE])
}

/** Not for us, and therefore plain requests. */
function plainOf (path: string): Attack[] {
  const heads: Array<[name: string, head: string]> = [
    ['"websocket/13"', upgradeHead(path, { Upgrade: 'websocket/13' })],
    ['"websockets"', upgradeHead(path, { Upgrade: 'websockets' })],
    ['an empty Upgrade', upgradeHead(path, { Upgrade: '' })],
    ['no Upgrade', headWithout(path, 'Upgrade')],
    ['no Connection', headWithout(path, 'Connection')]
  ]
  const closing = upgradeHead(path, { Connection: 'close' })
  return [
    ...heads.map(([name, head]): Attack => [name, 404, head + FAREWELL]),
    ['"Connection: close"', 404, closing]
  ]
}

const TARGETS = { 'a route': '/echo', 'the global handle': '/anything' }

for (const [target, path] of Object.entries(TARGETS)) {
  test(`bad handshakes with ${target} are refused`, async (t) => {
    const siege = await Siege.begin(t, { plugin: { handle: echo } })
    await siege.attackEach(t, refusalsOf(path))
    await siege.end(t)
  })

  test(`strange handshakes with ${target} are accepted`, async (t) => {
    const siege = await Siege.begin(t, { plugin: { handle: echo } })
    await siege.attackEach(t, acceptedOf(path))
    await siege.end(t)
  })

  test(`what is no handshake gets a plain 404 from ${target}`, async (t) => {
    const siege = await Siege.begin(t, { plugin: { handle: echo } })
    await siege.attackEach(t, plainOf(path))
    await siege.end(t)
  })
}

test('without a global handle there is nothing to upgrade to', async (t) => {
  const siege = await Siege.begin(t, { declare: (fastify) => fastify.get('/page', async () => '') })
  await siege.attackEach(t, ['/', '/page', '//echo', '/../echo', '*', '/echo/x'].map((path) => {
    return [`an upgrade to ${path}`, 404, upgradeHead(path) + GOODBYE]
  }))
  await siege.end(t)
})

test('extensions that cannot be agreed on are refused', async (t) => {
  const siege = await Siege.begin(t, { plugin: { options: { perMessageDeflate: true } } })
  const offers = [
    ';;=', 'permessage-deflate; unknown', 'permessage-deflate; server_max_window_bits=99',
    'permessage-deflate; client_max_window_bits; client_max_window_bits', 'permessage-deflate; ="'
  ]
  await siege.attackEach(t, offers.map((offer) => {
    return [offer, 400, headWith('/echo', `Sec-WebSocket-Extensions: ${offer}`)]
  }))
  await siege.end(t)
})

test('a request behind an upgrade is frames, never a request', async (t) => {
  const siege = await Siege.begin(t, {})
  await siege.attackEach(t, [
    ['a request behind an upgrade', 1002, upgradeHead('/echo') + SMUGGLED],
    ['an upgrade behind an upgrade', 1002, upgradeHead('/echo').repeat(2)],
    ['a request behind a refusal', 404, upgradeHead('/missing') + SMUGGLED],
    ['a request behind a bad handshake', 426, headWithout('/echo', 'Sec-WebSocket-V.*') + SMUGGLED],
    ['100 kB of requests behind a refusal', 404, upgradeHead('/missing') + SMUGGLED.repeat(1500)]
  ])
  t.notMatch(siege.requests.join('\n'), /smuggled/)
  await siege.end(t)
})
