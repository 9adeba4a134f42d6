/**
 * What the broker for Redis uses of the clients of an application: of ioredis, and of node-redis.
 * These types stand for the libraries, which are no dependencies.
 */

/** Events of the connection of a client: it can be used, is tried again, or has ended for good. */
export type ClientEvent = 'ready' | 'reconnecting' | 'end'

/** The methods that the clients of both libraries have. */
export interface Client {
  on (event: 'error', listener: (error: Error) => void): unknown
  on (event: ClientEvent, listener: () => void): unknown
  off (event: 'error', listener: (error: Error) => void): unknown
  off (event: ClientEvent, listener: () => void): unknown
  publish (channel: string, message: Buffer): Promise<unknown>
}

/** The parts of an ioredis client, 5 or 6, that are used. */
export interface IoredisClient extends Client {
  readonly status: string
  duplicate (options: {
    enableOfflineQueue: true
    enableReadyCheck: false
    autoResubscribe: false
    maxRetriesPerRequest: null
    lazyConnect: false
  }): IoredisSubscriber
}

/** A duplicate of an {@link IoredisClient}. */
export interface IoredisSubscriber extends Client {
  on (event: 'error', listener: (error: Error) => void): unknown
  on (event: ClientEvent, listener: () => void): unknown
  on (event: 'messageBuffer', listener: (channel: Buffer, message: Buffer) => void): unknown
  subscribe (...channels: string[]): Promise<unknown>
  unsubscribe (...channels: string[]): Promise<unknown>
  disconnect (): unknown
}

/** The parts of a node-redis client, 5 or later, that are used. */
export interface NodeRedisClient extends Client {
  /** Only node-redis spells the name of this method so. */
  pSubscribe: unknown
  /** Whether it is connected, or tries to be. */
  readonly isOpen: boolean
  /** Whether it can be used. */
  readonly isReady: boolean
  duplicate (options: { disableOfflineQueue: false }): NodeRedisSubscriber
}

/** Gets a message of a channel. */
export type OnMessage = (message: Buffer, channel: Buffer) => void

/** A duplicate of a {@link NodeRedisClient}. */
export interface NodeRedisSubscriber extends Client {
  connect (): Promise<unknown>
  subscribe (channel: string, listener: OnMessage, bufferMode: true): Promise<unknown>
  unsubscribe (channel: string, listener: OnMessage, bufferMode: true): Promise<unknown>
  destroy (): unknown
}
