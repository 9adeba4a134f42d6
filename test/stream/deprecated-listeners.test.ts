// An editor crosses out a listener on the stream for an event that only its WebSocket emits.
import { join } from 'node:path'
import t, { test } from 'tap'
import ts from 'typescript'
import { ROOT } from '../helpers/program'

// The compiler reads the types of all libraries.
t.setTimeout(120_000)

const METHODS = [
  'on', 'once', 'off', 'addListener', 'removeListener', 'prependListener', 'prependOnceListener'
]

const EVENTS = ['message', 'ping', 'pong']

const FILE = join(ROOT, 'test', 'stream', 'deprecated-listeners.ts')

/** The language service of TypeScript, as an editor uses it, for a file that is not on the disk. */
function serviceFor (code: string): ts.LanguageService {
  const options = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.Node16, strict: true }
  return ts.createLanguageService({
    fileExists: ts.sys.fileExists,
    readFile: ts.sys.readFile,
    directoryExists: ts.sys.directoryExists,
    getDirectories: ts.sys.getDirectories,
    getCompilationSettings: () => ({ ...options, skipLibCheck: true, types: ['node'] }),
    getCurrentDirectory: () => ROOT,
    getDefaultLibFileName: ts.getDefaultLibFilePath,
    getScriptFileNames: () => [FILE],
    getScriptVersion: () => '1',
    getScriptSnapshot: (path) => {
      const text = path === FILE ? code : ts.sys.readFile(path)
      return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text)
    }
  })
}

test('an editor crosses out listeners for message, ping and pong on the stream', async (t) => {
  const calls = METHODS.flatMap((method) => [...EVENTS, 'data', 'custom'].map((event) => {
    return `stream.${method}('${event}', () => {})`
  }))
  const service = serviceFor([
    "import type { SocketStream } from '../../src/stream/duplex'",
    'declare const stream: SocketStream',
    ...calls
  ].join('\n'))
  t.strictSame(service.getSemanticDiagnostics(FILE), [])
  const lines = service.getSuggestionDiagnostics(FILE)
    .filter(({ reportsDeprecated }) => reportsDeprecated !== undefined)
    // The first two lines are no calls.
    .map(({ file, start = 0 }) => ts.getLineAndCharacterOfPosition(file, start).line - 2)
  const crossedOut = calls.filter((_call, index) => lines.includes(index))
  t.strictSame(crossedOut, METHODS.flatMap((method) => EVENTS.map((event) => {
    return `stream.${method}('${event}', () => {})`
  })))
})
