import { fileURLToPath } from 'node:url'
import { Child } from './ipc.js'

/**
 * Starts a server process and a client process, resolves with the result of `use(server, client)`,
 * and ends both processes. Their scripts are `server.js` and `client.js` beside the calling module.
 *
 * @param caller the `import.meta.url` of the calling module
 * @param cores the cores that the server and the client are pinned to, or null
 * @param runtime the program that the server runs on
 */
export async function withPair (caller, cores, use, runtime = process.execPath) {
  const scripts = ['server.js', 'client.js'].map((name) => fileURLToPath(new URL(name, caller)))
  const server = new Child(scripts[0], cores?.server ?? null, ['--expose-gc'], runtime)
  const client = new Child(scripts[1], cores?.client ?? null)
  try {
    return await use(server, client)
  } finally {
    server.kill()
    client.kill()
  }
}
