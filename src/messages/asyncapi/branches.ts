/**
 * The branches of a union of messages. The union may stand behind a reference or in another union.
 */
import { isRecord } from './record'
import { placeOf, type Place } from './references'

/** The place to which a reference leads, or undefined. */
export type Find = (reference: string, from: Place) => Place | undefined

/**
 * Members that may stand beside a union. They describe it, or hold schemas for its branches. `type`
 * and `required` must stand there for the `discriminator` of ajv. Another member is a condition for
 * all of the branches, so that the union is one message.
 */
const BESIDE = new Set([
  '$anchor', '$comment', '$defs', '$id', '$schema', 'default', 'definitions', 'deprecated',
  'description', 'discriminator', 'example', 'examples', 'externalDocs', 'readOnly', 'required',
  'title', 'type', 'writeOnly'
])

/** The branches of the union at a place, or the place itself if no union stands there. */
export function branchesOf (place: Place, find: Find): Place[] {
  const branches = expand(place, find, new Set())
  return branches.length === 0 ? [place] : branches
}

/** @param seen the schemas whose branches are there already: a union may refer to itself */
function expand (place: Place, find: Find, seen: Set<unknown>): Place[] {
  const inner = wrappedBy(place, find)
  const parts = inner === undefined ? unionOf(place) : [inner]
  if (parts === undefined) return [place]
  if (seen.has(place.schema)) return []
  seen.add(place.schema)
  const branches = parts.flatMap((part) => expand(part, find, seen))
  // What stands around a schema that is no union describes the message: a title, for example.
  return inner !== undefined && branches[0] === inner ? [place] : branches
}

/** The place of a schema that means the same as the schema at `place`, or undefined. */
export function wrappedBy (place: Place, find: Find): Place | undefined {
  const value = onlyMember(place, ['$ref', 'allOf'])
  if (typeof value === 'string') return find(value, place)
  if (!Array.isArray(value) || value.length !== 1) return undefined
  return placeOf(value[0], place, '/allOf/0')
}

function unionOf (place: Place): Place[] | undefined {
  for (const key of ['oneOf', 'anyOf']) {
    const value = onlyMember(place, [key])
    if (Array.isArray(value)) {
      return value.map((part, index) => placeOf(part, place, `/${key}/${index}`))
    }
  }
  return undefined
}

/** The value of the one member of a schema that has one of the names, if it is all that counts. */
function onlyMember ({ schema }: Place, names: readonly string[]): unknown {
  if (!isRecord(schema)) return undefined
  const keys = Object.keys(schema).filter(isCondition)
  const [key = ''] = keys
  return keys.length === 1 && names.includes(key) ? schema[key] : undefined
}

function isCondition (key: string): boolean {
  return !BESIDE.has(key) && !key.startsWith('x-')
}
