// The reference: its programs run, and it knows all that can be imported.
import { join } from 'node:path'
import t, { test, type Test } from 'tap'
import ts from 'typescript'
import { connect, refused } from '../helpers/client'
import { Document, type Scenario } from '../helpers/documents'
import { ROOT } from '../helpers/program'

t.setTimeout(120_000)

const REFERENCE = new Document('docs/api.md')

async function checkEcho (t: Test, url: string): Promise<void> {
  const client = await connect(t, url)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
}

const SCENARIOS: readonly Scenario[] = [
  {
    marker: 'request: FastifyRequest',
    async check (t, origin) {
      const client = await connect(t, origin)
      t.equal(await client.nextText(), 'GET / on /')
    }
  },
  {
    marker: "'/lines'",
    async check (t, origin, program) {
      const client = await connect(t, `${origin}/lines`)
      client.send('hello')
      t.match(await client.next(), { text: 'HELLO', isBinary: true })
      client.close(4001)
      t.ok(await program.until(/the client has closed\n.*gone with 4001/))
    }
  },
  {
    marker: 'request.ws &&',
    async check (t, origin) {
      t.match(await refused(t, origin), { statusCode: 403, body: '{"message":"not from there"}' })
      const client = await connect(t, origin, { origin: 'https://example.com' })
      t.equal(await client.nextText(), 'welcome')
    }
  },
  {
    marker: "port: 3001, host: '127.0.0.1'",
    check: (t, origin) => checkEcho(t, origin)
  },
  {
    marker: 'options: { server }',
    check: (t, origin) => checkEcho(t, origin)
  },
  {
    marker: 'noServer: true',
    async check (t, origin) {
      const client = await connect(t, origin)
      t.equal(await client.nextText(), 'hello')
    }
  },
  {
    marker: 'createServer({ port: 3000',
    async check (t, origin, program) {
      await program.until(/it listens/)
      const client = await connect(t, `${origin}/some/path`)
      t.match(await client.next(), { text: 'you are at /some/path', isBinary: false })
    }
  }
]

test('every program of the reference does what it says', async (t) => {
  await REFERENCE.run(t, SCENARIOS)
})

test('everything that can be imported is in the reference', async (t) => {
  const file = join(ROOT, 'src', 'index.ts')
  const program = ts.createProgram([file], {
    module: ts.ModuleKind.Node16, moduleResolution: ts.ModuleResolutionKind.Node16, strict: true
  })
  const checker = program.getTypeChecker()
  const source = program.getSourceFile(file)
  const module = source && checker.getSymbolAtLocation(source)
  const names = module === undefined ? [] : checker.getExportsOfModule(module)
  t.ok(names.length > 15)
  for (const { name } of names) t.ok(REFERENCE.text.includes(`\`${name}`), name)
})
