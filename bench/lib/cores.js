import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/**
 * A core for the server and another one for the client; null if this process may use one core only,
 * or if the system has no `taskset` to pin processes with.
 */
export function findCores () {
  try {
    const status = readFileSync('/proc/self/status', 'latin1')
    const cores = expandList(/^Cpus_allowed_list:\s*(\S+)/m.exec(status)[1])
    if (cores.length < 2) return null
    execFileSync('taskset', ['--version'], { stdio: 'ignore' })
    // Systems tend to run their own tasks on the first core, so the last ones are taken.
    return { server: cores.at(-1), client: cores.at(-2) }
  } catch {
    return null
  }
}

/** The numbers of a list such as `0-3,8`. */
function expandList (list) {
  return list.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, i) => first + i)
  })
}
