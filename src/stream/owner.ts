import type { AsyncResource } from 'node:async_hooks'
import { EventEmitter } from 'node:events'
import { kOwner } from './symbols'

/**
 * The object that is responsible for a connection. It gets the errors of the connection and those
 * that listeners throw or reject with. Listeners run in its async context, in which the connection
 * was accepted.
 */
export interface ConnectionOwner extends Pick<AsyncResource, 'runInAsyncScope'> {
  /** Something went wrong on the connection. The same error may come more than once. */
  report (thrown: unknown): void
  onWarning (warning: Error): void
  onClose (): void
}

/** A socket that can have an owner. */
interface OwnedSocket extends EventEmitter {
  [kOwner]: ConnectionOwner | null
}

const CAPTURE_REJECTIONS = { captureRejections: true }

/** Gives a connection its owner. Without an owner, errors of listeners are thrown, as usual. */
export function setOwner (socket: OwnedSocket, owner: ConnectionOwner): void {
  socket[kOwner] = owner
  // An exception from public API: ws calls the EventEmitter constructor without options. Calling it
  // again sets them and keeps the listeners that are there already.
  EventEmitter.call(socket, CAPTURE_REJECTIONS)
}

/**
 * Calls a function of the application in the context of a connection's owner. If the function
 * throws, the owner gets the error and the result is undefined. Without an owner, the error is
 * thrown.
 */
export function callFor<This, Args extends unknown[], Result> (
  owner: ConnectionOwner | null,
  callback: (this: This, ...args: Args) => Result, thisArg: This, ...args: Args
): Result | undefined {
  if (owner === null) return callback.apply(thisArg, args)
  try {
    return owner.runInAsyncScope(callback, thisArg, ...args)
  } catch (error) {
    owner.report(error)
  }
}
