import type { AsyncApiDocument, AsyncApiOptions } from '../../asyncapi-types'
import type { DeclaredRoute } from '../../routes/application'
import { isGlobalRoute } from '../../routes/global-route'
import { describeRoute } from './channel'
import { createConvert } from './convert'
import { Names } from './names'
import { DocumentSchemas } from './schemas'

/**
 * Describes websocket routes as an AsyncAPI 3 document. A route whose schema has `hide: true` is
 * left out, as in the documents of @fastify/swagger, and so is a global `handle` without schemas.
 * What the options have in these parts of the document stays; what is added gets other names.
 */
export function describeRoutes (
  routes: readonly DeclaredRoute[], { toJsonSchema, ...given }: AsyncApiOptions
): AsyncApiDocument {
  const { channels = {}, operations = {}, components = {} } = given
  const { schemas: ownSchemas = {} } = components
  const channelNames = new Names(Object.keys(channels))
  const operationNames = new Names(Object.keys(operations))
  const schemaNames = new Names(Object.keys(ownSchemas))
  const schemas = new DocumentSchemas(createConvert(toJsonSchema), schemaNames)
  const document: AsyncApiDocument = {
    ...given,
    asyncapi: '3.0.0',
    info: given.info,
    channels: { ...channels },
    operations: { ...operations },
    components: { ...components, schemas: { ...ownSchemas } }
  }
  for (const route of routes.filter(isShown)) {
    const described = describeRoute(route, channelNames.take(route.url, 'root'), schemas)
    document.channels[described.id] = described.channel
    for (const [id, operation] of described.operations) {
      document.operations[operationNames.take(id, id)] = operation
    }
  }
  Object.assign(document.components.schemas, schemas.components)
  return document
}

function isShown (route: DeclaredRoute): boolean {
  const { schema = {}, target } = route
  if (target === null || Reflect.get(schema, 'hide') === true) return false
  return target.messages !== null || !isGlobalRoute(route)
}
