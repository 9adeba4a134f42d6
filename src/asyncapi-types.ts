/** The parts of an AsyncAPI 3 document that `fastify.asyncapi` makes, and its options. */

/** An object as it stands in JSON. */
export type JsonObject = { [key: string]: unknown }

/** A reference to another part of the document. */
export interface Reference {
  $ref: string
}

/** Options of `fastify.asyncapi`. Other members become members of the document, as they are. */
export interface AsyncApiOptions extends JsonObject {
  /** What the document is about. */
  info: { title: string, version: string, [key: string]: unknown }
  /** Where the application runs, by name. */
  servers?: { [name: string]: { host: string, protocol: string, [key: string]: unknown } }
  /** Channels that are no websocket routes. */
  channels?: { [id: string]: AsyncApiChannel }
  /** Operations of those channels. */
  operations?: { [id: string]: AsyncApiOperation }
  /** Components of your own. A schema of a route gets another name than they have. */
  components?: { schemas?: JsonObject, [key: string]: unknown }
  /**
   * Makes a JSON Schema of each schema of a route. Default: calls the method that Standard JSON
   * Schema defines, as Zod has it; a schema without that method is taken for JSON Schema.
   */
  toJsonSchema?: ((schema: unknown) => unknown) | undefined
}

/** A message of a channel. */
export interface AsyncApiMessage extends JsonObject {
  name: string
  contentType: 'application/json'
  /** A JSON Schema. */
  payload: unknown
}

/** A websocket route. */
export interface AsyncApiChannel extends JsonObject {
  address: string
  messages: { [name: string]: AsyncApiMessage }
}

/** What the application does on a channel. */
export interface AsyncApiOperation {
  action: 'receive' | 'send'
  channel: Reference
  messages: Reference[]
}

/** An AsyncAPI 3 document. */
export interface AsyncApiDocument extends JsonObject {
  asyncapi: '3.0.0'
  info: AsyncApiOptions['info']
  channels: { [id: string]: AsyncApiChannel }
  operations: { [id: string]: AsyncApiOperation }
  components: { schemas: JsonObject, [key: string]: unknown }
}
