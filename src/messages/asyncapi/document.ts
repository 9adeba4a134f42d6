import type { AsyncApiDocument, AsyncApiOptions } from '../../asyncapi-types'
import { isObject } from '../../options/checks'
import type { DeclaredRoute } from '../../routes/application'
import { isGlobalRoute } from '../../routes/global-route'
import { describeRoute } from './channel'
import { Names } from './names'
import { DocumentSchemas } from './schemas'

/**
 * Describes websocket routes as an AsyncAPI 3 document. A route whose schema has `hide: true` is
 * left out, as in the documents of @fastify/swagger, and so is a global `handle` without schemas.
 */
export function describeRoutes (
  routes: readonly DeclaredRoute[], { toJsonSchema, ...given }: AsyncApiOptions
): AsyncApiDocument {
  const schemas = new DocumentSchemas(toJsonSchema)
  const names = new Names()
  const described = routes.filter(isShown).map((route) => {
    return describeRoute(route, names.take(route.url, 'root'), schemas)
  })
  return {
    ...given,
    asyncapi: '3.0.0',
    info: given.info,
    channels: Object.fromEntries(described.map(({ id, channel }) => [id, channel])),
    operations: Object.fromEntries(described.flatMap(({ operations }) => operations)),
    components: { ...(isObject(given.components) && given.components), schemas: schemas.components }
  }
}

function isShown (route: DeclaredRoute): boolean {
  const { schema = {}, target } = route
  if (target === null || Reflect.get(schema, 'hide') === true) return false
  return target.messages !== null || !isGlobalRoute(route)
}
