/**
 * Finds the schema to which a reference in a JSON Schema leads.
 *
 * A schema has a base URI: its `$id`, resolved against the base URI around it. References in it
 * are resolved against that. An `$id` of Fastify is often only a word, and a schema of a route
 * often has none. They are resolved against a URI that no other schema has.
 */
import { isRecord } from './record'
import { escapeToken, mapSubschemas } from './subschemas'

/** A schema, and where it stands. */
export interface Place {
  readonly schema: unknown
  readonly whole: WholeSchema
  /** The JSON pointer from the whole schema to this one. */
  readonly pointer: string
  /** The URI that references in the schema are relative to. */
  readonly base: string
}

/** The base URI around a whole schema. */
const OUTSIDE = 'fastify:///'

/** A JSON Schema that is part of no other, and the places in it to which references can lead. */
export class WholeSchema {
  readonly place: Place
  /** The places with an `$id` or an anchor, by their URIs. */
  readonly #identified = new Map<string, Place>()
  readonly #subschemas = new Set<unknown>()

  /** @param name for the component that the schema becomes if something refers to it */
  constructor (schema: unknown, readonly name: string) {
    this.place = placeOf(schema, { schema, whole: this, pointer: '', base: OUTSIDE }, '')
    this.#add(this.place)
  }

  /** Whether it has a schema at a place for schemas. Only there are references rewritten. */
  has (schema: unknown): boolean {
    return !isRecord(schema) || this.#subschemas.has(schema)
  }

  /** @param fragment an anchor, a JSON pointer, or nothing */
  find (uri: string, fragment: string): Place | undefined {
    if (!fragment.startsWith('/')) {
      return this.#identified.get(fragment === '' ? uri : `${uri}#${decode(fragment)}`)
    }
    const start = this.#identified.get(uri)
    return fragment.slice(1).split('/').reduce(memberOf, start)
  }

  #add (place: Place): void {
    const { schema, base } = place
    this.#identify(base, place)
    if (!isRecord(schema)) return
    this.#subschemas.add(schema)
    for (const anchor of [splitReference(idOf(schema))[1], schema.$anchor]) {
      if (typeof anchor === 'string' && anchor !== '') this.#identify(`${base}#${anchor}`, place)
    }
    for (const part of subschemasOf(place)) this.#add(part)
  }

  /** The first place is the outermost one, so it is the one that has the `$id`. */
  #identify (uri: string, place: Place): void {
    if (!this.#identified.has(uri)) this.#identified.set(uri, place)
  }
}

/** The place of a schema that stands in another one. `pointer` leads from there to it. */
export function placeOf (schema: unknown, outer: Place, pointer: string): Place {
  const [id] = splitReference(idOf(schema))
  return {
    schema,
    whole: outer.whole,
    pointer: outer.pointer + pointer,
    base: resolveUri(id, outer.base)
  }
}

/**
 * The place to which a reference leads, or undefined if no schema is known there.
 *
 * @param shared the schemas that were added in the scope of the route
 */
export function findPlace (
  reference: string, { base, whole }: Place, shared: readonly WholeSchema[]
): Place | undefined {
  const [id, fragment] = splitReference(reference)
  // fast-json-stringify takes an id as it is written, without a base URI.
  for (const uri of [resolveUri(id, base), resolveUri(id, OUTSIDE)]) {
    for (const schema of [whole, ...shared]) {
      const place = schema.find(uri, fragment)
      if (place !== undefined) return place
    }
  }
  return undefined
}

/** The URL of a schema elsewhere to which a reference leads, or null if it cannot be elsewhere. */
export function urlElsewhere (
  reference: string, from: Place, shared: readonly WholeSchema[]
): string | null {
  const [id] = splitReference(reference)
  if (findPlace(id, from, shared) !== undefined) return null
  const url = resolveUri(reference, from.base)
  return URL.canParse(url) && !url.startsWith(OUTSIDE) ? url : null
}

function subschemasOf (place: Place): Place[] {
  const found: Place[] = []
  const add = (schema: unknown, pointer: string): void => {
    found.push(placeOf(schema, place, pointer))
  }
  if (isRecord(place.schema)) mapSubschemas(place.schema, add, () => {})
  return found
}

/** The place of a member. `token` names it in a JSON pointer. */
function memberOf (place: Place | undefined, token: string): Place | undefined {
  const key = decode(token).replaceAll('~1', '/').replaceAll('~0', '~')
  if (place === undefined || !hasMember(place.schema, key)) return undefined
  return placeOf(Reflect.get(place.schema, key), place, `/${escapeToken(key)}`)
}

function hasMember (value: unknown, key: string): value is object {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key)
}

function idOf (schema: unknown): string {
  return isRecord(schema) && typeof schema.$id === 'string' ? schema.$id : ''
}

/** The id and the fragment of a reference. As for ajv, `#` and `#/` at its end mean nothing. */
function splitReference (reference: string): [id: string, fragment: string] {
  const text = reference.replace(/#\/?$/, '')
  const hash = text.indexOf('#')
  return hash === -1 ? [text, ''] : [text.slice(0, hash), text.slice(hash + 1)]
}

function resolveUri (reference: string, base: string): string {
  // new URL would refuse it for a base such as `urn:a`.
  if (reference === '') return base
  try {
    return new URL(reference, base).href
  } catch {
    return reference
  }
}

function decode (text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
