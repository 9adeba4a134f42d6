// The section "Start" of the README: its commands fill an empty folder, and then a page shows in a
// browser what the README says, with the server as ESM, TypeScript and CommonJS.
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { Test } from 'tap'
import { browserTest, openPage } from '../helpers/browser'
import { Document } from '../helpers/documents'
import { Program, ROOT, run } from '../helpers/program'
import { findPort } from '../helpers/servers'

const README = new Document('README.md')
const [COMMANDS = ''] = README.blocks('sh')
const [SERVER = ''] = README.blocks('js')
const [PAGE = ''] = README.blocks('html')
const [COMMONJS = ''] = README.blocks('javascript')

/** What the README runs: `npx tsx` is here the tsx of this project. */
const TSX = join(ROOT, 'node_modules', 'tsx', 'dist', 'cli.mjs')

/** What no clone has, or what `npm ci` makes in it. */
const NOT_CLONED = new Set(['node_modules', '.git', '.tap'])

/** An empty folder beside a clone in which `npm ci` has been run. */
async function createFolder (t: Test): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), 'fastify-websocket-'))
  t.teardown(() => rm(parent, { recursive: true, force: true }))
  const clone = join(parent, 'fastify-websocket')
  await cp(ROOT, clone, {
    recursive: true,
    filter: (path) => path === ROOT || !NOT_CLONED.has(basename(path))
  })
  await symlink(join(ROOT, 'node_modules'), join(clone, 'node_modules'))
  const folder = join(parent, 'empty')
  await mkdir(folder)
  return folder
}

browserTest('the README leads from an empty folder to a message in a browser', async (t) => {
  const folder = await createFolder(t)
  const [prepare, ...commands] = COMMANDS.trim().split('\n')
  t.equal(prepare, 'npm --prefix ../fastify-websocket ci')
  t.equal(commands.length, 2)
  for (const command of commands) {
    await run(t, 'sh', ['-c', `${command} --prefer-offline --no-audit`], { cwd: folder })
  }
  const variants = [
    { name: 'server.mjs', source: SERVER, args: [] },
    { name: 'server.mts', source: SERVER, args: [TSX] },
    { name: 'server.cjs', source: COMMONJS, args: [] }
  ]
  for (const { name, source, args } of variants) {
    const port = String(await findPort())
    // The browser of the tests resolves no names.
    const page = PAGE.replace('localhost:3000', `127.0.0.1:${port}`)
    await writeFile(join(folder, name), source.replace('3000', port))
    await writeFile(join(folder, 'index.html'), page)
    const program = new Program(t, process.execPath, [...args, name], { cwd: folder })
    await program.until(/Server listening/)
    // The CommonJS program has no page of its own, so any page of its address is the place for it.
    const tab = await openPage(t, `http://127.0.0.1:${port}`)
    // The CommonJS server has no page, but what opens a WebSocket may come from anywhere.
    if (source === COMMONJS) await tab.setContent(page)
    await tab.getByRole('heading', { name: 'You said: hello' }).waitFor()
    t.pass(name)
    await program.kill()
  }
})
