// The terminal of the examples: nothing of it may outlive its client.
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import t, { test } from 'tap'
import { connect, refused, type Client } from '../helpers/client'
import { ROOT, run, startExample, type Program } from '../helpers/program'
import { portOf, type Teardown } from '../helpers/servers'
import { until } from '../helpers/streams'

// It starts a program of TypeScript four times, each of which takes seconds on a busy machine.
t.setTimeout(120_000)

const shared = startTerminal(t)

async function startTerminal (
  t: Teardown, shell = '/bin/sh'
): Promise<{ program: Program, url: string }> {
  const program = startExample(t, 'terminal/server.ts', '0', { SHELL: shell })
  const address = await program.address()
  return { program, url: `${address.replace('http', 'ws')}/terminal` }
}

/** Reads until `text` has come, wherever messages begin and end. */
async function readUntil (client: Client, text: string): Promise<string> {
  let output = ''
  while (!output.includes(text)) output += await client.nextText()
  return output
}

/** Has a shell run a program that stays, and returns its connection to here. */
async function runWitness (t: Teardown, client: Client): Promise<Socket> {
  const server = createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const code = `require('net').connect(${portOf(server)}, '127.0.0.1')`
  client.send(`${process.execPath} -e "${code}"\n`)
  const [witness] = await once(server, 'connection')
  witness.on('error', () => {})
  witness.resume()
  return witness
}

function isRunning (pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

test('the terminal runs what is typed, and closes with 1000 when the shell ends', async (t) => {
  const { url } = await shared
  const client = await connect(t, url)
  client.send('echo $((6 * 7))\n')
  t.equal(await readUntil(client, '\n'), '42\n')
  client.send('echo to stderr ')
  client.send('>&2\n')
  t.equal(await readUntil(client, '\n'), 'to stderr\n')
  client.send('echo bye; exit 3\n')
  t.equal(await readUntil(client, '\n'), 'bye\n')
  t.same(await client.closed, { code: 1000, reason: '' })
})

test('each client of the terminal has a shell of its own', async (t) => {
  const { url } = await shared
  const clients = [await connect(t, url), await connect(t, url)] as const
  const pids: string[] = []
  for (const client of clients) {
    client.send('echo $$\n')
    pids.push(await readUntil(client, '\n'))
  }
  t.not(pids[0], pids[1])
  clients[0].send('exit\n')
  await clients[0].closed
  clients[1].send('echo still here\n')
  t.equal(await readUntil(clients[1], '\n'), 'still here\n')
})

test('a client that is cut off takes its shell and what runs in it along', async (t) => {
  const { url } = await shared
  const client = await connect(t, url)
  client.send('echo $$\n')
  const shell = Number(await readUntil(client, '\n'))
  t.ok(isRunning(shell))
  const witness = await runWitness(t, client)
  const gone = once(witness, 'close')
  client.socket.terminate()
  await gone
  await until(() => !isRunning(shell))
  t.notOk(isRunning(shell))
})

test('the terminal takes all shells along when it is stopped', async (t) => {
  const { program, url } = await startTerminal(t)
  const client = await connect(t, url)
  const witness = await runWitness(t, client)
  const gone = once(witness, 'close')
  const { code } = await program.kill('SIGTERM')
  t.equal(code, 0)
  t.match(await client.closed, { code: 1001 })
  await gone
})

test('what is typed to a shell that has ended does no harm', async (t) => {
  const { program, url } = await startTerminal(t)
  const client = await connect(t, url)
  // More than a pipe has room for, so that some of it is not written when the shell ends.
  client.send(`exit\n${'x'.repeat(512 * 1024)}`)
  t.match(await client.closed, { code: 1000 })
  const { code, output } = await program.kill('SIGTERM')
  t.equal(code, 0, output)
})

test('the terminal closes with 1011 where there is no such shell', async (t) => {
  const { program, url } = await startTerminal(t, '/no/such/shell')
  t.match(await (await connect(t, url)).closed, { code: 1011 })
  t.match(await program.kill('SIGTERM'), { code: 0 })
})

test('the terminal refuses every web page', async (t) => {
  const { url } = await shared
  const ownOrigin = new URL(url.replace('ws', 'http')).origin
  for (const origin of ['https://example.com', ownOrigin, 'null']) {
    t.match(await refused(t, url, { origin }), { statusCode: 403 }, origin)
  }
})

test('the client of the terminal shows what the shell says, and ends with it', async (t) => {
  const { url } = await shared
  const client = join(ROOT, 'examples', 'terminal', 'client.ts')
  const command = `echo 'echo $((6 * 7))' | ${process.execPath} --import tsx ${client} ${url}`
  t.equal(await run(t, 'sh', ['-c', command]), '42\n')
})
