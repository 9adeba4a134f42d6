// What the tests of the README and of docs/ share: a document's code runs, and its tables are read.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { Program, ROOT, run } from './program'
import { findPort } from './servers'

/** Packages that only documents and tests use: `npm run programs` installs them. */
const PROGRAMS = join(ROOT, 'test', 'programs', 'node_modules')

/** The compiler. */
export const TSC = join(ROOT, 'node_modules', '@typescript', 'native', 'bin', 'tsc')

/** What the documents say that their short pieces assume. */
export const ASSUMED = `
import Fastify from 'fastify'
import fastifyWebsocket from 'fastify-websocket'
const fastify = Fastify({ logger: true })
`

/** What a short piece needs beside that, to be a program. */
const LISTEN = `
console.log('ready on', await fastify.listen({ port: 0, host: '127.0.0.1' }))
`

/** Languages of the blocks that are programs: ours are TypeScript, those of others JavaScript. */
type Language = 'ts' | 'js'

/** What the program of one block must do. */
export interface Scenario {
  /** Text that only one block of the document has in its language. */
  readonly marker: string
  /** The language of the block. Default: `ts`. */
  readonly language?: Language
  /** Runs beside the program, which runs in `folder` and serves `origin`, a `ws://` URL. */
  check (t: Test, origin: string, program: Program, folder: string): Promise<void>
}

/** A Markdown file of the project. */
export class Document {
  readonly text: string

  /**
   * @param path from the root folder of the project
   * @param changes texts that a test needs otherwise, by what the document has; each is there once
   */
  constructor (path: string, changes: Record<string, string> = {}) {
    let text = readFileSync(join(ROOT, path), 'utf8')
    for (const [present, needed] of Object.entries(changes)) {
      const parts = text.split(present)
      if (parts.length !== 2) throw new Error(`${path} has ${parts.length - 1} times: ${present}`)
      text = parts.join(needed)
    }
    this.text = text
  }

  /** The contents of all blocks in a language. */
  blocks (language: string): string[] {
    return [...this.text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))]
      .map(([, block]) => block ?? '')
  }

  /** The rows of all tables whose first column has this title. */
  rows (title: string): string[][] {
    const rows: string[][] = []
    let isInside = false
    for (const line of this.text.split('\n')) {
      const cells = line.split('|').slice(1, -1).map((cell) => cell.trim())
      if (cells.length === 0) isInside = false
      else if (isInside && cells[0]?.startsWith('---') === false) rows.push(cells)
      else if (cells[0] === title) isInside = true
    }
    return rows
  }

  /** Where its links within the project lead, as they are written: `./path`, `../path`, `#id`. */
  links (): string[] {
    return [...this.text.matchAll(/\]\(([.#][^)]*)\)/g)].map(([, link]) => link ?? '')
  }

  /** The ids of its headings, as GitHub makes them. */
  ids (): string[] {
    const prose = this.text.replace(/^```.*?^```/gms, '')
    return [...prose.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) => {
      const words = title.toLowerCase().replace(/[^\p{L}\p{N}\- _]/gu, '')
      return words.replaceAll(' ', '-')
    })
  }

  /**
   * Compiles every TypeScript block, and runs each block that has a scenario beside its check.
   *
   * @param others how many blocks of JavaScript have no scenario; TypeScript must have one each
   */
  async run (t: Test, scenarios: readonly Scenario[], others = 0): Promise<void> {
    const sources = [
      ...await this.#programs('ts', '.mts'), ...await this.#programs('js', '.mjs')
    ]
    t.equal(scenarios.length, sources.length - others, 'each block has a scenario')
    const folder = await compile(t, Object.fromEntries(
      sources.map(({ file, program }) => [file, program])))
    for (const { marker, language = 'ts', check } of scenarios) {
      const matching = sources.filter(({ file, block }) => {
        return file.startsWith(language) && block.includes(marker)
      })
      t.equal(matching.length, 1, `one block has ${marker}`)
      await t.test(`${language}: ${marker}`, async (t) => {
        const file = join(folder, String(matching[0]?.file.replace('.mts', '.mjs')))
        const work = join(folder, 'work')
        const program = new Program(t, process.execPath, [file], { cwd: work })
        const [, port] = await program.until(/on http:\/\/127\.0\.0\.1:(\d+)/)
        await program.until(/ready/)
        await check(t, `ws://127.0.0.1:${port}`, program, work)
      })
    }
  }

  async #programs (language: Language, extension: string): Promise<Source[]> {
    return await Promise.all(this.blocks(language).map(async (block, index) => ({
      file: `${language}${index}${extension}`, block, program: await toProgram(block, language)
    })))
  }
}

/**
 * Writes files into a folder of the test and compiles those that are TypeScript, `.mts`, beside
 * themselves. Returns the folder, which has an empty one, `work`.
 */
export async function compile (t: Test, files: Record<string, string>): Promise<string> {
  const folder = t.testdir({
    work: { 'package.json': '{}' },
    // Packages are looked for in this folder first, and then in that of the project.
    node_modules: t.fixture('symlink', PROGRAMS),
    'tsconfig.json': JSON.stringify({
      extends: join(ROOT, 'tsconfig.json'),
      compilerOptions: { rootDir: '.', outDir: '.', noEmitOnError: true, paths: {} },
      include: ['*.mts'],
      exclude: []
    }),
    ...files
  })
  await run(t, process.execPath, [TSC, '-p', folder])
  return folder
}

interface Source {
  readonly file: string
  readonly block: string
  readonly program: string
}

/** A program that prints the address to connect to once it is ready. */
async function toProgram (block: string, language: Language): Promise<string> {
  const port = await findPort()
  const code = block.replace(/\b300[01]\b/, String(port))
  // Those of others have all that they need.
  const isWhole = language === 'js' || block.includes("from 'fastify-websocket'")
  const program = isWhole ? `${code}\nconsole.log('ready')` : `${ASSUMED}${code}${LISTEN}`
  return code === block ? program : `console.log('on http://127.0.0.1:${port}')\n${program}`
}

/** Code of a table's cell, without its quotes. */
export function unquote (code = ''): string {
  return code.replaceAll('`', '')
}
