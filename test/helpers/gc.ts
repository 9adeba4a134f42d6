import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** The garbage collector of this process, as `--expose-gc` would give it. */
export function exposeGarbageCollector (): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc')
}
