import { UnsupportedRuntimeError } from '../errors'

/**
 * Refuses runtimes that replace ws by a module of their own. Connections open there, but their
 * streams stay empty, and an error of a handler ends the process.
 *
 * @param versions `process.versions`
 * @throws FST_WS_UNSUPPORTED_RUNTIME
 */
export function checkRuntime (versions: NodeJS.ProcessVersions): void {
  if (versions.bun === undefined) return
  throw new UnsupportedRuntimeError('Bun', 'it replaces ws by a module of its own. Use Node.js')
}
