// The comparison in the README is true: its cells are what the packages do, each in a process of
// its own. Those of Socket.IO, which is not installed, have links.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { test, type Test } from 'tap'
import { resolveOptions } from '../../src/options/plugin-options'
import { Client, connect } from '../helpers/client'
import { Document } from '../helpers/documents'
import { Program, ROOT } from '../helpers/program'
import { createFastify } from '../helpers/servers'

t.setTimeout(90_000)

const MIB = 1024 * 1024
const PEERS = ['fastify-websocket', '@fastify/websocket', 'ws', 'websocket-stream'] as const
const FASTIFY_PEERS = PEERS.slice(0, 2)

type Peer = typeof PEERS[number]

const LINK_OR_TRIED = /^(no|–|not measured|.* \*|\[.*\]\(https:\/\/socket\.io\/.*\))$/

const [[, ...COLUMNS] = [], ...ROWS] = new Document('README.md').text.split('\n')
  .filter((line) => /^\|.*\|.*\|.*\|.*\|.*\|$/.test(line) && !line.startsWith('|-'))
  .map((line) => line.split('|').slice(1, -1).map((text) => text.trim()))

/** The cell of a package in the row with this title. */
function cell (title: string, peer: Peer): string {
  const row = ROWS.find(([first]) => first === title)
  const column = COLUMNS.findIndex((name) => name.replace(/`| [\d.]+$/g, '') === peer)
  return row?.[column + 1] ?? `no cell of ${peer} in a row "${title}"`
}

interface Running {
  readonly program: Program
  readonly origin: string
}

async function start (t: Test, peer: Peer): Promise<Running> {
  const args = [join(ROOT, 'test/docs/peers.cjs'), peer]
  // A listener that throws is the end of a process of the others.
  const mayCrash = peer !== 'fastify-websocket'
  const program = new Program(t, process.execPath, args, { mayCrash })
  return { program, origin: (await program.address()).replace('http', 'ws') }
}

/** A client whose server has begun to listen to messages, after it got `early` ones. */
async function startClient (t: Test, origin: string, ...early: string[]): Promise<Client> {
  const client = await connect(t, origin)
  for (const message of early) client.send(message)
  client.socket.ping()
  await once(client.socket, 'pong')
  return client
}

for (const peer of PEERS) {
  test(`${peer}: what becomes of a message before there is a listener`, async (t) => {
    const { origin } = await start(t, peer)
    const client = await startClient(t, origin, 'early')
    client.send('late')
    const isKept = await client.nextText() === 'early'
    t.equal(cell('a message before there is a listener', peer), isKept ? 'waits' : 'is lost')
  })

  test(`${peer}: what a listener that throws ends`, async (t) => {
    const { program, origin } = await start(t, peer)
    const client = await startClient(t, origin)
    client.send('throw')
    const { code } = await client.closed
    const isConfined = code === 1011
    if (isConfined) await connect(t, origin)
    else t.match(await program.ended, { code: 1, output: /as announced/ })
    const ended = isConfined ? 'that connection' : 'the process'
    t.equal(cell('a listener that throws ends', peer), ended)
  })

  test(`${peer}: what clients see when the server closes`, async (t) => {
    const { program, origin } = await start(t, peer)
    const client = await startClient(t, origin)
    const ended = program.kill('SIGTERM')
    await program.until(/closing/)
    client.socket.ping()
    const pong = new Promise((resolve) => { client.socket.once('pong', resolve) })
    const end = await Promise.race([pong.then(() => null), client.closed])
    const seen = end === null ? 'nothing' : `close code ${end.code}`
    t.equal(cell('when the server closes, clients see', peer), seen)
    client.socket.terminate()
    await ended
  })

  test(`${peer}: the longest message by default`, async (t) => {
    const { program } = await start(t, peer)
    const [, bytes] = await program.until(/maxPayload (\d+)/)
    t.equal(cell('longest message by default', peer), `${Number(bytes) / MIB} MiB`)
  })
}

for (const peer of FASTIFY_PEERS) {
  test(`${peer}: routes with parameters, and cookies that a hook sets`, async (t) => {
    const { origin } = await start(t, peer)
    const client = new Client(`${origin}/rooms/blue`)
    t.teardown(() => { client.socket.terminate() })
    const [{ headers }] = await once(client.socket, 'upgrade')
    t.equal(await client.nextText(), 'welcome to blue')
    t.equal(cell("Fastify's routes, hooks and schemas for upgrades", peer), 'yes')
    const cookies = 'set-cookie' in headers ? 'yes' : 'no'
    t.equal(cell('cookies that hooks set go out with the handshake', peer), cookies)
  })
}

test('the CPU time of a small message is that of the benchmark', async (t) => {
  const results = JSON.parse(readFileSync(join(ROOT, 'bench/results/latest.json'), 'utf8'))
  const work = results.works.find(({ id }: { id: string }) => id === 'echo-64x64')
  const ratioOf = (name: string): string => {
    const { ratio } = work.peers.find(({ peer }: { peer: string }) => peer === name)
    return ratio.median.toFixed(2)
  }
  const title = 'CPU time of a small message, many at once'
  t.equal(cell(title, 'fastify-websocket'), ratioOf('ours'))
  t.equal(cell(title, '@fastify/websocket'), ratioOf('@fastify/websocket'))
  t.equal(cell(title, 'ws'), ratioOf('ws'))
})

test('each cell of Socket.IO has a link, or was tried', async (t) => {
  const column = COLUMNS.findIndex((name) => name.startsWith('Socket.IO')) + 1
  t.ok(ROWS.length > 5)
  for (const row of ROWS) {
    t.match(row[column], LINK_OR_TRIED, `${row[0]}`)
  }
})

test('pings are sent by default, or by no line of the package', async (t) => {
  const fastify = createFastify(t)
  const { heartbeat } = resolveOptions({}, fastify).connection
  const title = 'pings by default'
  t.equal(cell(title, 'fastify-websocket'), `every ${Number(heartbeat) / 1000} s`)
  const others = [
    ['@fastify/websocket', 'index.js'], ['ws', 'lib/websocket-server.js'],
    ['websocket-stream', 'server.js'], ['websocket-stream', 'stream.js']
  ] as const
  for (const [peer, file] of others) {
    const code = readFileSync(join(ROOT, 'node_modules', peer, file), 'utf8')
    t.equal(cell(title, peer), code.includes('.ping(') ? 'yes' : 'no', `${peer}/${file}`)
  }
})

test('the versions are those that are installed', async (t) => {
  const titles = COLUMNS.map((title) => title.replaceAll('`', ''))
  for (const name of PEERS.slice(1)) {
    const file = join(ROOT, 'node_modules', name, 'package.json')
    const { version } = JSON.parse(readFileSync(file, 'utf8'))
    t.ok(titles.includes(`${name} ${version.split('.')[0]}`), `${name} ${version}`)
  }
})
