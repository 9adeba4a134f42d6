// Installs the programs and plugins of others that only tests run: `npm run programs`, which
// `npm test` runs by itself. They have a package of their own, test/programs/, so that `npm ci` in
// the root folder stays small. Nothing happens if they are there, as their lock file says.
import { spawnSync } from 'node:child_process'
import { lstatSync, mkdirSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'

const ROOT = join(import.meta.dirname, '..')
const PROGRAMS = join(ROOT, 'test', 'programs')

/** npm writes this file last, so its age is the age of a complete installation. */
const INSTALLED = join(PROGRAMS, 'node_modules', '.package-lock.json')

/**
 * Programs below test/programs/ load this package by its name, as an application does. The link is
 * not in the folder that npm manages, because npm would take it for a package that it must remove.
 */
const LINK = join(ROOT, 'test', 'node_modules', 'fastify-websocket')

/** When a file was changed, in milliseconds; 0 if there is none. */
function changeTime (file) {
  return lstatSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0
}

function install () {
  // In the folder itself, whose .npmrc counts.
  const options = { cwd: PROGRAMS, stdio: 'inherit' }
  const { status, error } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], options)
  if (status !== 0) throw new Error('npm cannot install test/programs/', { cause: error })
}

function link () {
  mkdirSync(dirname(LINK), { recursive: true })
  // Windows makes a junction without special rights, and other systems ignore the type.
  symlinkSync(ROOT, LINK, 'junction')
}

if (changeTime(INSTALLED) < changeTime(join(PROGRAMS, 'package-lock.json'))) install()
if (changeTime(LINK) === 0) link()
