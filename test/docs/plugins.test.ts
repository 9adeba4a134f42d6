// The page on other plugins: its programs run, and each plugin of its table has its tests.
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { test } from 'tap'
import { connect, refused } from '../helpers/client'
import { Document, unquote, type Scenario } from '../helpers/documents'
import { ROOT } from '../helpers/program'
import { Editor, sayHello } from '../programs/clients'

t.setTimeout(120_000)

const PAGE = new Document('docs/plugins.md')

/** Logs in by HTTP, and returns the headers to come back with. */
async function login (origin: string): Promise<{ headers: { cookie: string } }> {
  const { headers } = await fetch(`${origin.replace('ws', 'http')}/login`)
  return { headers: { cookie: String(headers.getSetCookie()[0]).split(';', 1)[0] ?? '' } }
}

const SCENARIOS: readonly Scenario[] = [
  {
    marker: 'jwtVerify()',
    async check (t, origin) {
      t.match(await refused(t, `${origin}/private`), { statusCode: 401 })
      const client = await connect(t, `${origin}/private`, await login(origin))
      t.equal(await client.nextText(), 'hello, Ada')
    }
  },
  {
    marker: 'checkMessage',
    async check (t, origin) {
      const client = await connect(t, `${origin}/feed`)
      client.send('hello')
      t.equal(await client.nextText(), 'You said: hello')
      for (let i = 0; i < 100; i++) client.send('more')
      t.match(await client.closed, { code: 1008, reason: 'too many messages' })
      for (let i = 0; i < 4; i++) await connect(t, `${origin}/feed`)
      t.match(await refused(t, `${origin}/feed`), {
        statusCode: 429, headers: { 'retry-after': /^\d+$/ }
      })
    }
  },
  {
    marker: 'session.save()',
    async check (t, origin) {
      t.match(await refused(t, `${origin}/notes`), { statusCode: 401, body: 'log in first' })
      const options = await login(origin)
      const client = await connect(t, `${origin}/notes`, options)
      t.equal(await client.nextText(), 'Ada, your note is: none')
      client.send('buy milk')
      t.equal(await client.nextText(), 'saved')
      const again = await connect(t, `${origin}/notes`, options)
      t.equal(await again.nextText(), 'Ada, your note is: buy milk')
    }
  },
  {
    marker: 'destroyUpgrade: false',
    async check (t, origin, program) {
      for (const transport of ['websocket', 'polling']) {
        t.equal(await sayHello(t, origin, [transport]), 'hello, Ada', transport)
      }
      const client = await connect(t, `${origin}/time`)
      t.match(await client.nextText(), /^\d{4}-\d\d-\d\dT/)
    }
  },
  {
    marker: 'vite.middlewares',
    async check (t, origin, program, folder) {
      writeFileSync(join(folder, 'index.html'), '<title>page of Vite</title>')
      const page = await (await fetch(origin.replace('ws', 'http'))).text()
      t.match(page, '<title>page of Vite</title>')
      t.equal(await (await connect(t, `${origin}/greeting`)).nextText(), 'hello')
      const token = await reloadToken(origin)
      const tab = await connect(t, `${origin}/?token=${token}`, {}, ['vite-hmr'])
      t.match(JSON.parse(await tab.nextText()), { type: 'connected' })
    }
  },
  {
    marker: 'noServer: true',
    async check (t, origin) {
      t.equal(await (await connect(t, `${origin}/ours`)).nextText(), 'hello from a route')
      const client = await connect(t, `${origin}/other?any=query`)
      t.equal(await client.nextText(), 'hello from ws')
    }
  },
  {
    marker: 'class Room',
    async check (t, origin) {
      const url = `${origin}/documents`
      const ada = await Editor.open(t, url, 'notes', 'Ada')
      ada.write('hello')
      const grace = await Editor.open(t, url, 'notes', 'Grace')
      await grace.see('hello')
      await grace.seeUsers('Ada', 'Grace')
      grace.write('Grace says: ')
      await ada.see('Grace says: hello')

      const text = await connect(t, `${url}/notes`)
      text.send('no bytes')
      t.match(await text.closed, { code: 1003 })
      for (const bytes of [[], [0], [0, 9], [0, 2, 1, 255], [1, 3, 1, 1, 1], [1, 255]]) {
        const client = await connect(t, `${url}/notes`)
        client.send(Buffer.from(bytes))
        t.match(await client.closed, { code: 1011 }, `bytes ${bytes.join()}`)
      }

      ada.leave()
      await grace.seeUsers('Grace')
      grace.write('Still here. ')
      const other = await Editor.open(t, url, 'other', 'Ada')
      const late = await Editor.open(t, url, 'notes', 'Joan')
      await late.see('Still here. Grace says: hello')
      await late.seeUsers('Grace', 'Joan')
      t.equal(other.text, '')
    }
  }
]

/** What Vite has its own pages show when they connect for reloads. */
async function reloadToken (origin: string): Promise<string> {
  const client = await (await fetch(`${origin.replace('ws', 'http')}/@vite/client`)).text()
  return /wsToken = "([^"]+)"/.exec(client)?.[1] ?? ''
}

test('every block of code does what the page says', (t) => PAGE.run(t, SCENARIOS))

test('every program of the second table has its test', async (t) => {
  const files = PAGE.rows('program').map(([name = '']) => {
    return unquote(name.split(' ')[0] ?? '').replace(/^@(\w+)\/.*/, '$1')
  })
  t.strictSame(files, ['trpc', 'graphql-ws', 'mercurius', 'hocuspocus'])
  for (const file of files) {
    t.ok(existsSync(join(ROOT, 'test', 'programs', 'compatible', `${file}.test.ts`)), file)
  }
})

test('every plugin of the table has its tests', async (t) => {
  const rows = [...PAGE.rows('plugin'), ...PAGE.rows('library')]
  const names = rows.map(([name]) => unquote(name))
  t.ok(names.length >= 24)
  // Its program is on the page, and runs above.
  names.splice(names.indexOf('y-websocket'), 1)
  for (const name of names) {
    // Cookies are tested with the sessions that need them.
    const file = name.replace('@fastify/', '').replace('cookie', 'session')
    t.ok(existsSync(join(ROOT, 'test', 'programs', 'ecosystem', `${file}.test.ts`)), name)
  }
})
