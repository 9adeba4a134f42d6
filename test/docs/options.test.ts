// The tables of options are those of the source.
import Fastify from 'fastify'
import { join } from 'node:path'
import { test } from 'tap'
import ts from 'typescript'
import { WebSocketServer } from 'ws'
import { resolveOptions } from '../../src/options/plugin-options'
import { StreamSettings } from '../../src/stream/settings'
import { Document, unquote } from '../helpers/documents'
import { ROOT } from '../helpers/program'

const OPTIONS = new Document('docs/options.md')

test('the tables of options name each option of the types once, and no other', async (t) => {
  const names = OPTIONS.rows('name').map(([name]) => unquote(name))
  const known = [
    ...propertiesOf('CompatiblePluginOptions'), ...propertiesOf('WebsocketServerOptions')
  ]
  t.strictSame(names.sort(), known.sort())
})

test('the tables of options tell the defaults of the source', async (t) => {
  const fastify = Fastify()
  t.teardown(() => fastify.close())
  const { connection, maxConnections, websocket } = resolveOptions({}, fastify)
  t.equal(websocket.maxPayload, 1024 * 1024, 'which is 1 MiB')
  const defaults = new Map(Object.entries({
    ...new WebSocketServer({ noServer: true }).options,
    ...websocket,
    noServer: false,
    ...new StreamSettings(websocket),
    ...connection,
    origin: connection.isAllowedOrigin ?? false,
    maxConnections: maxConnections === Infinity ? false : maxConnections
  }))
  const rows = OPTIONS.rows('name')
    .map(([name, , value]) => [unquote(name), unquote(value)] as const)
    .filter(([name, value]) => defaults.has(name) && /^(true|false|\d+)$/.test(value))
  // Of the rest, ws and Node.js know the default, or there is none.
  t.ok(rows.length >= 16)
  for (const [name, value] of rows) {
    if (name !== 'backlog') t.equal(value, String(defaults.get(name)), name)
  }
})

/** The names of all properties of a type of `src/types.ts`, inherited ones too. */
function propertiesOf (typeName: string): string[] {
  const file = join(ROOT, 'src', 'types.ts')
  const program = ts.createProgram([file], {
    module: ts.ModuleKind.Node16, moduleResolution: ts.ModuleResolutionKind.Node16, strict: true
  })
  const checker = program.getTypeChecker()
  const source = program.getSourceFile(file)
  const module = source && checker.getSymbolAtLocation(source)
  const symbol = module && checker.getExportsOfModule(module).find(({ name }) => name === typeName)
  if (symbol === undefined) throw new Error(`${typeName} is not exported`)
  return checker.getDeclaredTypeOfSymbol(symbol).getProperties().map(({ name }) => name)
}
