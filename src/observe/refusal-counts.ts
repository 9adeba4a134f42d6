/** How often upgrades were refused, by the kind of the answer: its status and its error code. */

/**
 * From this number of kinds on, a new code counts as null: an application may make up any number of
 * codes. A kind with the code null is always counted, and there is at most one for each status.
 */
const MAX_KINDS = 200

/** How many upgrades got one kind of answer. */
export interface RefusalCount {
  readonly statusCode: number
  /** The code of the error behind the answer, such as `FST_WS_ORIGIN_NOT_ALLOWED`, or null. */
  readonly code: string | null
  readonly count: number
}

/** See the header of this file. */
export class RefusalCounts {
  readonly #counts = new Map<string, RefusalCount>()

  add (statusCode: number, code: string | null): void {
    const key = `${statusCode} ${code}`
    const known = this.#counts.get(key)
    if (known === undefined && code !== null && this.#counts.size >= MAX_KINDS) {
      this.add(statusCode, null)
      return
    }
    this.#counts.set(key, { statusCode, code, count: (known?.count ?? 0) + 1 })
  }

  get list (): RefusalCount[] {
    return [...this.#counts.values()].map((kind) => ({ ...kind }))
  }
}
