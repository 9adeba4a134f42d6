/**
 * The answer that Fastify would give to an error: its status, headers and body. An upgrade needs it
 * where Fastify's own way is not open, before the router or past hooks that do not end.
 */
import { STATUS_CODES, type ServerResponse } from 'node:http'
import type { FastifyBaseLogger } from 'fastify'
import { logError } from '../observe/log'
import { codeOf, toError } from '../observe/thrown'
import { setHeaders } from './headers'

const INTERNAL_SERVER_ERROR = 500

/** The status and the body of an answer. */
interface ErrorAnswer {
  readonly statusCode: number
  readonly body: string
}

/**
 * Replaces the headers of a response by those of an error, logs the error, and returns the status
 * and the body of the answer.
 */
export function prepareErrorAnswer (
  response: ServerResponse, thrown: unknown, log: FastifyBaseLogger | undefined
): ErrorAnswer {
  const error = typeof thrown === 'string' ? new Error(thrown) : toError(thrown)
  const code = codeOf(error)
  const statusCode = statusOf(error)
  const body = JSON.stringify({
    statusCode,
    code: typeof code === 'string' ? code : undefined,
    error: STATUS_CODES[statusCode],
    message: error.message
  })
  // As Fastify does: a mistake of the client is not an error of the application.
  const level = statusCode < INTERNAL_SERVER_ERROR ? 'info' : 'error'
  if (log !== undefined) logError(log, level, thrown, 'websocket handshake failed')
  for (const name of response.getHeaderNames()) response.removeHeader(name)
  setErrorHeaders(response, read(error, 'headers'))
  response.setHeader('content-type', 'application/json; charset=utf-8')
  response.setHeader('content-length', Buffer.byteLength(body))
  return { statusCode, body }
}

function statusOf (error: Error): number {
  const status = read(error, 'statusCode')
  return isErrorStatus(status) ? status : INTERNAL_SERVER_ERROR
}

function isErrorStatus (status: unknown): status is number {
  return typeof status === 'number' && status >= 400 && status < 600
}

/** Sets the headers of an error. As in Fastify, invalid ones do not change the answer. */
function setErrorHeaders (response: ServerResponse, headers: unknown): void {
  try {
    setHeaders(response, headers)
  } catch {
    // Ignored: the error that has these headers is logged and answered all the same.
  }
}

/** A property of an error, undefined if its getter throws. */
function read (error: Error, name: string): unknown {
  try {
    return Reflect.get(error, name)
  } catch {
    return undefined
  }
}
