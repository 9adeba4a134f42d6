// The page on other plugins: its programs run, and each plugin of its table has its tests.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t, { test } from 'tap'
import { connect, refused } from '../helpers/client'
import { Document, unquote, type Scenario } from '../helpers/documents'
import { ROOT } from '../helpers/program'

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
  }
]

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
  const names = PAGE.rows('plugin').map(([name]) => unquote(name))
  t.ok(names.length >= 13)
  for (const name of names) {
    // Cookies are tested with the sessions that need them.
    const file = name.replace('@fastify/', '').replace('cookie', 'session')
    t.ok(existsSync(join(ROOT, 'test', 'programs', 'ecosystem', `${file}.test.ts`)), name)
  }
})
