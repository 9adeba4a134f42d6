// The plugins in test/programs/ must meet this project's own Fastify and its built package: beside
// a second copy, a plugin would belong to an application that no test looks at.
import { realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'tap'
import { ROOT } from '../helpers/program'

const FOLDER = join(ROOT, 'test', 'programs')
const { resolve } = createRequire(join(FOLDER, 'node_modules', '@fastify', 'cors', 'index.js'))

test('a plugin of test/programs/ loads the Fastify of the project', async (t) => {
  t.equal(resolve('fastify'), join(realpathSync(join(ROOT, 'node_modules')), 'fastify/fastify.js'))
})

test('a test below test/programs/ loads the ws of the project', async (t) => {
  const { resolve } = createRequire(join(FOLDER, 'index.js'))
  t.equal(resolve('ws'), join(realpathSync(join(ROOT, 'node_modules')), 'ws/index.js'))
})

test('a program of test/programs/ loads the built package by its name', async (t) => {
  t.equal(realpathSync(resolve('fastify-websocket')), join(realpathSync(ROOT), 'dist/index.js'))
})
