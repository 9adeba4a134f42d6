// The README is true: its programs run and do what it says, its commands and links are there.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { test, type Test } from 'tap'
import { WebSocket } from 'ws'
import { connect } from '../helpers/client'
import { Document, type Scenario } from '../helpers/documents'
import { ROOT } from '../helpers/program'

// It compiles and starts a program.
t.setTimeout(120_000)

const README = new Document('README.md')

/** What the piece for the browser with this socket prints. WebSocket is here that of ws. */
async function runInBrowser (
  t: Test, origin: string, name: 'socket' | 'numbers'
): Promise<unknown> {
  const block = README.blocks('js').find((block) => block.startsWith(`const ${name} `)) ?? ''
  const code = block.replace('ws://localhost:3000', origin)
  t.not(code, block)
  return await new Promise((resolve) => {
    // eslint-disable-next-line no-new-func -- the text of a document is a program
    const run = new Function('WebSocket', 'console', `${code}; return ${name}`)
    const socket: WebSocket = run(WebSocket, { log: resolve })
    t.teardown(() => { socket.terminate() })
  })
}

const SCENARIOS: readonly Scenario[] = [
  {
    marker: 'You said',
    async check (t, origin) {
      const client = await connect(t, `${origin}/hello`)
      client.send('hello')
      t.equal(await client.nextText(), 'You said: hello')
      t.equal(await runInBrowser(t, origin, 'socket'), 'You said: hello')
    }
  },
  {
    marker: 'Type.Number()',
    async check (t, origin) {
      t.same(await runInBrowser(t, origin, 'numbers'), { n: 4 })
      const client = await connect(t, `${origin}/double`)
      client.send('{"n":"two"}')
      t.match(await client.closed, { code: 1008 })
    }
  }
]

test('every block of code compiles and does what the README says', async (t) => {
  // The checks of the servers run the pieces for the browser.
  const browserPieces = 2
  await README.run(t, SCENARIOS, browserPieces)
})

test('every command of the README is there', async (t) => {
  const commands = README.blocks('sh').flatMap((block) => block.trim().split(/\s*&&\s*|\n/))
  t.strictSame(new Set(commands), new Set([
    'npm install fastify fastify-websocket@5', 'npm ci', 'npm start', 'npm test'
  ]))
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  t.match(scripts, { start: /examples\/chat\/server\.ts/, test: String })
})

test('every example is linked', async (t) => {
  const links = README.links()
  for (const name of readdirSync(join(ROOT, 'examples'))) {
    t.ok(links.some((link) => link.startsWith(`./examples/${name}`)), name)
  }
})
