/** The URL of a route as an address of AsyncAPI. */
export interface Address {
  readonly address: string
  /** The names of its parameters, in order. */
  readonly parameters: readonly string[]
}

/** Matches an escaped colon, a parameter without its pattern, or a wildcard. */
const SPECIAL = /::|:([A-Za-z0-9_]+)|\*/g

/** Writes `/rooms/:room` as `/rooms/{room}`, without the pattern of a parameter. */
export function addressOf (url: string): Address {
  const parameters: string[] = []
  const address = withoutPatterns(url).replace(SPECIAL, (found, name: string | undefined) => {
    if (found === '::') return ':'
    parameters.push(name ?? 'wildcard')
    return `{${name ?? 'wildcard'}}`
  })
  return { address, parameters }
}

/** Removes the patterns of parameters, and the `?` of an optional parameter. */
function withoutPatterns (url: string): string {
  let depth = 0
  let result = ''
  for (const character of url) {
    if (character === '(') depth++
    if (depth === 0 && character !== '?') result += character
    if (character === ')') depth--
  }
  return result
}
