import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import type { WebsocketHandler } from '../../src/types'
import { turn } from '../helpers/streams'
import type { Leave } from './conversations'
import { BINARY, CLOSE, PONG, type Frame } from './frames'
import type { Target } from './served'

/** What of the answers has to be as if each was given at once, in the order of what came. */
export type Agreement =
  /** All of them. */
  | 'all'
  /** Messages among themselves, and pongs: pongs overtake an echo that takes its time. */
  | 'kinds'
  /** Pongs, and the bytes of all messages. */
  | 'bytes'

/** An echo, and what may be expected of it. */
export interface EchoTarget extends Target {
  readonly agreement: Agreement
  /** How a client may leave as soon as it has sent all, and is answered nevertheless. */
  readonly earlyLeaves: ReadonlyArray<Leave['kind']>
  readonly canCompress?: boolean
}

/** Of compression in which every message stands for itself, as an independent decoder needs it. */
export const OFFER = 'permessage-deflate; client_no_context_takeover; server_no_context_takeover'

const listener: WebsocketHandler = ({ socket }) => {
  socket.on('message', (message) => { socket.send(message) })
}

const pipe: WebsocketHandler = (connection) => { connection.pipe(connection) }

const COMPRESSION = { perMessageDeflate: true }

/** The ways to send back what comes, by name. */
export const targets: Record<string, EchoTarget> = {
  'a message listener': { handler: listener, agreement: 'all', earlyLeaves: ['close', 'end'] },

  'a message listener behind a hook that waits': {
    handler: listener,
    agreement: 'all',
    // Whoever ends while the hook waits has gone.
    earlyLeaves: ['close'],
    declare (fastify: FastifyInstance) {
      fastify.addHook('onRequest', async () => { for (let i = 0; i < 20; i++) await turn() })
    }
  },

  'a message listener that comes late': {
    async handler (connection) {
      for (let i = 0; i < 20; i++) await turn()
      connection.socket.on('message', (message) => { connection.socket.send(message) })
    },
    agreement: 'kinds',
    earlyLeaves: []
  },

  'one message at a time': {
    async handler ({ socket }) {
      const closing = new AbortController()
      socket.once('close', () => { closing.abort() })
      while (!closing.signal.aborted) {
        const message = await once(socket, 'message', closing).catch(() => null)
        if (message !== null) socket.send(message[0])
      }
    },
    agreement: 'kinds',
    earlyLeaves: []
  },

  'a pipe of bytes': { handler: pipe, agreement: 'bytes', earlyLeaves: [] },

  'a pipe of messages': {
    handler: pipe, options: { objectMode: true }, agreement: 'kinds', earlyLeaves: []
  },

  'an async iterator of messages': {
    async handler (connection) {
      for await (const message of connection) {
        if (!connection.write(message)) await once(connection, 'drain')
      }
    },
    options: { objectMode: true },
    agreement: 'kinds',
    earlyLeaves: []
  },

  'a message listener with compression': {
    handler: listener,
    options: COMPRESSION,
    agreement: 'all',
    earlyLeaves: ['close'],
    canCompress: true
  },

  'a pipe of messages with compression': {
    handler: pipe,
    options: { ...COMPRESSION, objectMode: true },
    agreement: 'kinds',
    earlyLeaves: [],
    canCompress: true
  }
}

/** Answers without what nothing has to agree on. */
export function comparable (frames: readonly Frame[], agreement: Agreement): unknown {
  if (agreement === 'all') return frames
  const pongs = frames.filter(({ opcode }) => opcode === PONG)
  const closes = frames.filter(({ opcode }) => opcode === CLOSE)
  return { pongs, closes, messages: messagesOf(frames, agreement) }
}

/** The echoes among answers; as a stream of bytes, they are one. */
export function messagesOf (frames: readonly Frame[], agreement: Agreement): Frame[] {
  const messages = frames.filter(({ opcode }) => opcode !== PONG && opcode !== CLOSE)
  if (agreement !== 'bytes') return messages
  return [{ opcode: BINARY, payload: Buffer.concat(messages.map(({ payload }) => payload)) }]
}
