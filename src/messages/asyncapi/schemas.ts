/**
 * The schemas of a document. JSON Schemas of Fastify refer to each other by `$id`, and to parts of
 * themselves. In the document, a schema to which something refers stands in `components.schemas`.
 *
 * | reference in a schema              | becomes a component               |
 * |------------------------------------|-----------------------------------|
 * | `#/…`, a part of the same schema   | that schema                       |
 * | `id`, an `$id` in the same schema  | that schema                       |
 * | `id`, `id#`, `id#/…`, another one  | the schema that was added by `addSchema` |
 */
import type { Convert } from './convert'
import type { Names } from './names'
import { isRecord } from './record'
import { copyJson, mapSubschemas } from './subschemas'

type SharedSchemas = Readonly<Record<string, unknown>>

/** A schema whose references are being rewritten. */
interface Root {
  readonly schema: unknown
  /** The name of its component, if it becomes one. */
  readonly name: string
  /** The schemas that were added in the scope in which the schema is used. */
  readonly shared: SharedSchemas
}

/** See the header of this file. */
export class DocumentSchemas {
  readonly components: { [name: string]: unknown } = {}
  readonly #names: Names
  /** The names of components, by their schemas. */
  readonly #known = new Map<unknown, string>()

  /**
   * @param convert makes a JSON Schema of a schema that a route declares
   * @param names knows the names that other components have
   */
  constructor (readonly convert: Convert, names: Names) {
    this.#names = names
  }

  /**
   * A copy of a JSON Schema, or of a part of it, for the document.
   *
   * @param root the whole schema, to which references in the part are relative
   * @param name for the component that `root` becomes if something refers to a part of it
   */
  copy (part: unknown, root: unknown, name: string, shared: SharedSchemas): unknown {
    return this.#copy(part, { schema: root, name, shared })
  }

  #copy (schema: unknown, root: Root): unknown {
    if (!isRecord(schema)) return schema
    const copy = mapSubschemas(schema, (part) => this.#copy(part, root), copyJson)
    // In the document a schema has another place than its `$id` says.
    for (const key of ['$schema', '$id']) delete copy[key]
    if (typeof copy.$ref === 'string') copy.$ref = this.#refer(copy.$ref, root)
    return copy
  }

  #refer (reference: string, root: Root): string {
    const hash = reference.indexOf('#')
    const id = hash === -1 ? reference : reference.slice(0, hash)
    const pointer = hash === -1 ? '' : reference.slice(hash + 1)
    if (id === '') return this.#componentOf(root) + pointer
    const inner = findId(root.schema, id, '')
    if (inner !== null) return this.#componentOf(root) + inner + pointer
    const { shared } = root
    if (!Object.hasOwn(shared, id)) return reference
    return this.#componentOf({ schema: shared[id], name: id, shared }) + pointer
  }

  /** A reference to the component of a schema, which is made when it is first needed. */
  #componentOf (root: Root): string {
    const known = this.#known.get(root.schema)
    if (known !== undefined) return `#/components/schemas/${known}`
    const name = this.#names.take(root.name, 'schema')
    // Before the copy, in which the schema may refer to itself.
    this.#known.set(root.schema, name)
    this.components[name] = this.#copy(root.schema, root)
    return `#/components/schemas/${name}`
  }
}

/** Where the part of a schema with an `$id` is, as a JSON pointer, or null. */
function findId (schema: unknown, id: string, pointer: string): string | null {
  if (typeof schema !== 'object' || schema === null) return null
  if ('$id' in schema && schema.$id === id) return pointer
  for (const [key, member] of Object.entries(schema)) {
    const token = key.replaceAll('~', '~0').replaceAll('/', '~1')
    const found = findId(member, id, `${pointer}/${token}`)
    if (found !== null) return found
  }
  return null
}
