// What the documents link to is there.
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'tap'
import { Document } from '../helpers/documents'
import { ROOT } from '../helpers/program'

/** Every Markdown file in these folders, by its path. */
const DOCUMENTS = new Map(['.', 'docs', 'examples'].flatMap((folder) => {
  return readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name))
}).map((path) => [path, new Document(path)]))

test('every link leads to a file or a heading that is there', async (t) => {
  for (const [path, document] of DOCUMENTS) {
    for (const link of document.links()) {
      const [file = '', id] = link.split('#')
      const target = file === '' ? path : join(dirname(path), file)
      t.ok(existsSync(join(ROOT, target)), `${path}: ${link}`)
      if (id !== undefined) t.ok(new Document(target).ids().includes(id), `${path}: ${link}`)
    }
  }
})

test('the README links every document', async (t) => {
  const links = new Document('README.md').links().map((link) => link.replace(/#.*/, ''))
  for (const path of DOCUMENTS.keys()) {
    if (!path.startsWith('docs/') && !path.startsWith('examples/')) continue
    t.ok(links.includes(`./${path}`), path)
  }
})
