// The README is true: its programs run and do what it says, its commands and links are there.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { test, type Test } from 'tap'
import { WebSocket } from 'ws'
import { connect } from '../helpers/client'
import { Document, type Scenario } from '../helpers/documents'
import { ROOT } from '../helpers/program'

// It compiles and starts a program.
t.setTimeout(120_000)

const README = new Document('README.md')

const MAX_WORDS = 1200

const SCENARIOS: readonly Scenario[] = [
  {
    marker: 'createReadStream',
    language: 'js',
    async check (t, origin, program, folder) {
      writeFileSync(join(folder, 'index.html'), README.blocks('html').join())
      const response = await fetch(origin.replace('ws', 'http'))
      t.equal(response.headers.get('content-type'), 'text/html')
      t.match(await response.text(), 'new WebSocket')
      const client = await connect(t, `${origin}/hello`)
      client.send('hello')
      t.equal(await client.nextText(), 'You said: hello')
    }
  },
  {
    marker: 'Type.Number()',
    async check (t, origin) {
      t.equal(await runInBrowser(t, origin), '{"n":4}')
      const client = await connect(t, `${origin}/double`)
      client.send('{"n":"two"}')
      t.match(await client.closed, { code: 1008 })
    }
  },
  {
    marker: 'socket.subscribe(room)',
    async check (t, origin) {
      const [ada, grace, other] = await Promise.all(['blue', 'blue', 'red'].map((room) => {
        return connect(t, `${origin}/rooms/${room}`)
      }))
      ada?.send('hello, blue')
      t.equal(await grace?.nextText(), 'hello, blue')
      other?.send('hello, red')
      grace?.send('hello, Ada')
      t.equal(await ada?.nextText(), 'hello, Ada', 'neither its own message nor that of red')
    }
  },
  {
    marker: 'one is enough',
    async check (t, origin, program) {
      const polite = await connect(t, `${origin}/once`)
      polite.send('please')
      t.match(await polite.closed, { code: 4000, reason: 'one is enough' })
      await program.until(/closed: 4000 one is enough/)
      const rude = await connect(t, `${origin}/once`)
      rude.send('now')
      t.match(await rude.closed, { code: 1011 })
      await program.until(/not polite/)
    }
  },
  {
    marker: 'injectWS',
    async check (t, origin, program) {
      await program.until(/got hello/)
    }
  }
]

/** What the piece for the browser prints. WebSocket is here that of ws. */
async function runInBrowser (t: Test, origin: string): Promise<unknown> {
  const block = README.blocks('js').find((block) => block.startsWith('const numbers ')) ?? ''
  const code = block.replace('ws://localhost:3000', origin)
  t.not(code, block)
  return await new Promise((resolve) => {
    // eslint-disable-next-line no-new-func -- the text of a document is a program
    const run = new Function('WebSocket', 'console', `${code}; return numbers`)
    const socket: WebSocket = run(WebSocket, { log: resolve })
    t.teardown(() => { socket.terminate() })
  })
}

test('every block of code compiles and does what the README says', async (t) => {
  // The check of a server runs the piece for the browser.
  const browserPieces = 1
  await README.run(t, SCENARIOS, browserPieces)
})

test('every command of the README is there', async (t) => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  for (const command of ['`npm ci && npm start`', '`npm ci && npm test`']) {
    t.ok(README.text.includes(command), command)
  }
  t.match(scripts, { start: /examples\/chat\/server\.ts/, test: String })
})

test('the README can be read in a few minutes', async (t) => {
  const words = README.text.split(/\s+/).length
  t.ok(words <= MAX_WORDS, `${words} words`)
})

test('every example is described', async (t) => {
  const links = new Document('examples/README.md').links()
  const names = readdirSync(join(ROOT, 'examples')).filter((name) => name !== 'README.md')
  for (const name of names) {
    t.ok(links.some((link) => link.startsWith(`./${name}`)), name)
  }
})
