/** Options of which none is null. */
export type Given<T extends object> = { [K in keyof T]?: NonNullable<T[K]> }

/** Leaves out options that are undefined or null, which libraries may take for values. */
export function givenOf<T extends object> (options: T): Given<T> {
  const given = Object.entries(options).filter(([, value]) => value != null)
  // The type of `fromEntries` forgets the names.
  return Object.fromEntries(given) as Given<T>
}

/**
 * Reads the options with these names, inherited ones and getters of a class included, each once.
 * An option that is undefined or null is not given.
 */
export function readOptions<T extends object> (options: T, names: readonly string[]): Given<T> {
  const values = names.map((name): [string, unknown] => [name, Reflect.get(options, name)])
  // The type of `fromEntries` forgets the names.
  return givenOf(Object.fromEntries(values)) as Given<T>
}
