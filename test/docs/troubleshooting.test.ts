// The page on silent mistakes: its program says what it is said to say, and no warning is missing.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { test, type Test } from 'tap'
import { connect } from '../helpers/client'
import { ASSUMED, Document, TSC, unquote, type Scenario } from '../helpers/documents'
import { Program, ROOT } from '../helpers/program'

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

/** What the compiler says about pieces of code. */
async function diagnose (t: Test, pieces: readonly string[]): Promise<string[]> {
  const programs = pieces.map((piece, index) => [`piece${index}.mts`, `${ASSUMED}${piece}`])
  const folder = t.testdir({
    'tsconfig.json': JSON.stringify({
      extends: join(ROOT, 'tsconfig.json'),
      compilerOptions: { rootDir: '.', noEmit: true, paths: {} },
      include: ['*.mts']
    }),
    ...Object.fromEntries(programs)
  })
  const { output } = await new Program(t, process.execPath, [TSC, '-p', folder]).ended
  const messages = pieces.map(() => '')
  for (const text of output.split(/^(?=\S)/m)) {
    const [, index] = /piece(\d+)\.mts\(/.exec(text) ?? []
    if (index !== undefined) messages[Number(index)] += text
  }
  return messages
}

test('every program of the page does what it says', async (t) => {
  await PAGE.run(t, SCENARIOS)
})

test('the compiler says what the page says about handlers of wrong types', async (t) => {
  const rows = PAGE.rows('TypeScript says')
  t.equal(rows.length, 5)
  const types = "import type { FastifyReply, FastifyRequest } from 'fastify'"
  const messages = await diagnose(t, rows.map(([, code = '']) => {
    const [, handler] = /`([^`]*)`/.exec(code) ?? []
    return `${types}\nfastify.get('/', { websocket: true }, ${handler})`
  }))
  for (const [index, [message]] of rows.entries()) {
    t.match(messages[index], unquote(message).replace(/ …$/, ''))
  }
  const right = rows.map(([, , code = '']) => /`(\(.*)`/.exec(code)?.[1] ?? '() => {}')
  const none = await diagnose(t, right.map((handler) => {
    return `fastify.get('/', { websocket: true }, ${handler})`
  }))
  t.strictSame(none, right.map(() => ''))
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
