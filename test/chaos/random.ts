/** Random choices that a seed repeats. */
export class Random {
  #state: number

  /** @param seed any integer */
  constructor (seed: number) {
    this.#state = seed >>> 0
  }

  /** A number from 0 to 1, without 1: the generator "mulberry32". */
  next (): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ this.#state >>> 15, this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, mixed | 61)
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32
  }

  /** Whether something happens that happens in this part of all cases. */
  chance (part: number): boolean {
    return this.next() < part
  }

  /** One of the values. */
  pick<Value> (values: readonly [Value, ...Value[]]): Value {
    return values[Math.floor(this.next() * values.length)] ?? values[0]
  }
}

/** What can be chosen: for each name, the part of all plans that have it, and its values. */
export type Choices = Record<string, readonly [part: number, first: unknown, ...more: unknown[]]>

/** A plan of some of the choices; a plan without a name has the usual thing there. */
export type PlanOf<Table extends Choices> = {
  readonly [Name in keyof Table]?:
  Table[Name] extends readonly [number, ...infer Values] ? Values[number] : never
}

/** Draws a plan. To shrink it is to leave out names. */
export function drawPlan<Table extends Choices> (random: Random, table: Table): PlanOf<Table> {
  const chosen = Object.entries(table).flatMap(([name, [part, ...values]]) => {
    // Both are drawn each time, so that a choice does not change those after it.
    const [isChosen, value] = [random.chance(part), random.pick(values)]
    return isChosen ? [[name, value]] : []
  })
  // `Object.fromEntries` has no type for names that belong to values.
  return Object.fromEntries(chosen) as PlanOf<Table>
}
