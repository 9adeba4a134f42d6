/**
 * The schemas of a document. JSON Schemas of Fastify refer to each other by `$id`, and to parts of
 * themselves. In the document, a schema to which something refers stands in `components.schemas`.
 *
 * | a reference leads to | and becomes |
 * |---|---|
 * | a schema, or a place for a schema within it | the component of that schema, and a pointer |
 * | another place in a schema, under `x-parts` for example | a component made of that place |
 * | a URL of no known schema, for a reader of the document to fetch | that URL |
 * | nothing | no reference: any JSON, with a comment |
 */
import type { Convert } from './convert'
import type { Names } from './names'
import { isRecord } from './record'
import { findPlace, placeOf, urlElsewhere, WholeSchema, type Place } from './references'
import { copyJson, mapSubschemas } from './subschemas'

/** The schemas that were added in the scope of a route. */
export type Shared = readonly WholeSchema[]

/** See the header of this file. */
export class DocumentSchemas {
  readonly components: { [name: string]: unknown } = {}
  readonly #names: Names
  /** The names of components, by their schemas. */
  readonly #known = new Map<unknown, string>()
  /** Added schemas by themselves: scopes have most of them in common. */
  readonly #added = new Map<unknown, WholeSchema>()

  /**
   * @param convert makes a JSON Schema of a schema that a route declares
   * @param names knows the names that other components have
   */
  constructor (readonly convert: Convert, names: Names) {
    this.#names = names
  }

  /** @param schemas what `fastify.getSchemas()` returns */
  share (schemas: Readonly<Record<string, unknown>>): Shared {
    return Object.entries(schemas).map(([id, schema]) => {
      const whole = this.#added.get(schema) ?? new WholeSchema(schema, id)
      this.#added.set(schema, whole)
      return whole
    })
  }

  /** A copy of a JSON Schema, or of a part of it, for the document. */
  copy (place: Place, shared: Shared): unknown {
    const { schema } = place
    if (!isRecord(schema)) return schema
    const copy = mapSubschemas(schema, (part, pointer) => {
      return this.copy(placeOf(part, place, pointer), shared)
    }, copyJson)
    // In the document a schema has another place than its `$id` says.
    for (const key of ['$schema', '$id', '$anchor']) delete copy[key]
    if (typeof copy.$ref !== 'string') return copy
    const reference = this.#refer(copy.$ref, place, shared)
    if (reference !== null) return { ...copy, $ref: reference }
    const { $ref, ...rest } = copy
    return { ...rest, $comment: `there is no schema ${$ref}` }
  }

  #refer (reference: string, from: Place, shared: Shared): string | null {
    const target = findPlace(reference, from, shared)
    if (target === undefined) return urlElsewhere(reference, from, shared)
    const { whole, schema, pointer } = target
    if (!whole.has(schema)) return this.#componentOf(target, whole.name + pointer, shared)
    return this.#componentOf(whole.place, whole.name, shared) + toFragment(pointer)
  }

  /** A reference to the component of a schema, which is made when it is first needed. */
  #componentOf (place: Place, name: string, shared: Shared): string {
    const known = this.#known.get(place.schema) ?? this.#names.take(name, 'schema')
    if (!this.#known.has(place.schema)) {
      // Before the copy, in which the schema may refer to itself.
      this.#known.set(place.schema, known)
      this.components[known] = this.copy(place, shared)
    }
    return `#/components/schemas/${known}`
  }
}

/** A JSON pointer as the fragment of a URI. */
function toFragment (pointer: string): string {
  return encodeURI(pointer).replaceAll('#', '%23')
}
