/**
 * The URL of a route as an address of AsyncAPI. The URL is read as find-my-way, the router of
 * Fastify, reads it: see `_on` and `getClosingParenthensePosition` there.
 *
 * | in the URL | is |
 * |---|---|
 * | `::` | a colon |
 * | `:name` | a parameter, whose name ends at `(`, `-`, `.` or `/` |
 * | `(…)` right after a name | the pattern of the parameter, in which a `\` escapes a parenthesis |
 * | `?` at the end of a name | an optional parameter, the last of the URL |
 * | `*` | a wildcard, unless a parameter stands before it in the same segment |
 */

/** See the header of this file. */
export interface Address {
  readonly address: string
  /** The names of its parameters, in order. */
  readonly parameters: readonly string[]
}

/** The `?` of an optional parameter, and what is kept around it. */
const OPTIONAL = /(\/:[^/()]*)\?(\/?)$/

const NAME_END = /[(\-./]/g

/** Writes `/rooms/:room` as `/rooms/{room}`, without the pattern of a parameter. */
export function addressOf (route: string): Address {
  const url = route.replace(OPTIONAL, '$1$2')
  const parameters: string[] = []
  let address = ''
  let hasParameter = false
  for (let at = 0; at < url.length; at++) {
    const character = url.charAt(at)
    if (character === ':' && url.charAt(at + 1) !== ':') {
      const end = endOfName(url, at + 1)
      parameters.push(url.slice(at + 1, end))
      address += `{${url.slice(at + 1, end)}}`
      at = endOfPattern(url, end) - 1
      hasParameter = true
    } else if (character === '*' && !hasParameter) {
      parameters.push('wildcard')
      address += '{wildcard}'
    } else {
      address += character
      if (character === '/') hasParameter = false
      // The second colon of an escaped one.
      if (character === ':') at++
    }
  }
  return { address, parameters }
}

/** Where the name of a parameter ends. */
function endOfName (url: string, start: number): number {
  NAME_END.lastIndex = start
  return NAME_END.exec(url)?.index ?? url.length
}

/** Where the pattern ends that begins at `start`, or `start` if none begins there. */
function endOfPattern (url: string, start: number): number {
  let depth = 0
  let at = start
  for (; at < url.length; at++) {
    const character = url.charAt(at)
    if (character === '\\') at++
    else if (character === '(') depth++
    else if (character === ')') depth--
    if (depth === 0) break
  }
  return url.charAt(start) === '(' ? at + 1 : start
}
