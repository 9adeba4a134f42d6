/** Names in one part of a document, each given once. */
export class Names {
  readonly #taken: Set<string>

  /** @param taken names that the part has already */
  constructor (taken: Iterable<string> = []) {
    // A member of this name would replace the prototype of an object.
    this.#taken = new Set(['__proto__', ...taken])
  }

  /** A name of letters, digits, `_` and `-`, made of `text`, or `fallback` if nothing is left. */
  take (text: string, fallback: string): string {
    const wanted = text.replace(/[^A-Za-z0-9_]+/g, '-').replace(/^-|-$/g, '') || fallback
    let name = wanted
    for (let count = 2; this.#taken.has(name); count++) name = `${wanted}-${count}`
    this.#taken.add(name)
    return name
  }
}
