// The page on silent mistakes: its program says what it is said to say, and no warning is missing.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { test } from 'tap'
import { connect } from '../helpers/client'
import { Document, unquote, type Scenario } from '../helpers/documents'
import { ROOT } from '../helpers/program'

t.setTimeout(120_000)

const PAGE = new Document('docs/troubleshooting.md')

const SCENARIOS: readonly Scenario[] = [
  {
    marker: 'JSON.parse',
    async check (t, origin, program) {
      const client = await connect(t, `${origin}/parse`)
      client.send('[]')
      t.equal(await client.nextText(), 'object')
      client.send('[')
      t.match(await client.closed, { code: 1011 })
      const [line] = await program.until(/^.*websocket connection failed.*$/m)
      t.match(JSON.parse(line), { level: 50, err: { type: 'SyntaxError', stack: /at .*\.mjs/ } })
    }
  }
]

test('every program of the page does what it says', async (t) => {
  await PAGE.run(t, SCENARIOS)
})

test('every warning of the source is on the page', async (t) => {
  const folder = join(ROOT, 'src')
  const codes = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => {
      const code = readFileSync(join(folder, file), 'utf8')
      return [...code.matchAll(/\{ code: '(FST_WS_\w+)' \}/g)].map(([, name]) => name)
    })
  const listed = PAGE.rows('warning').map(([name]) => unquote(name))
  t.ok(codes.length >= 3)
  for (const code of codes) t.ok(listed.includes(String(code)), String(code))
})

test('the examples, and the programs of the documents, have a logger', async (t) => {
  const examples = readdirSync(join(ROOT, 'examples'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => [file, readFileSync(join(ROOT, 'examples', file), 'utf8')] as const)
  const names = readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md'))
  const documents = ['README.md', ...names.map((name) => join('docs', name))].map((path) => {
    // Those in JavaScript are of other packages.
    const blocks = [...new Document(path).text.matchAll(/^```(\w*)\n(.*?)^```/gms)]
      .filter(([, language]) => language !== 'js')
    return [path, blocks.map(([, , code]) => code).join('\n')] as const
  })
  let count = 0
  for (const [name, code] of [...examples, ...documents]) {
    for (const [call] of code.matchAll(/ = Fastify\(.*$/gm)) {
      count++
      t.match(call, /\blogger: /, `${name}: ${call}`)
    }
  }
  t.ok(count > 15)
})
