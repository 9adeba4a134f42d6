type Given<T extends object> = { [K in keyof T]?: NonNullable<T[K]> }

/** The options that are neither undefined nor null, which others would take for values. */
export function givenOf<T extends object> (options: T): Given<T> {
  const given = Object.entries(options).filter(([, value]) => value != null)
  // The type of `fromEntries` forgets the names.
  return Object.fromEntries(given) as Given<T>
}
