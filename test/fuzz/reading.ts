// One conversation, read by ws itself and by the sockets of this library: what each of them tells.
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { WebSocketServer, type ServerOptions, type WebSocket } from 'ws'
import { WebSocketStreamServer } from '../../src/stream/server'
import { turn } from '../helpers/streams'

/** What a listener does when it gets a message. */
export type Action = 'nothing' | 'pauses' | 'closes' | 'terminates'

/** How the chunks end. */
export type End = 'end' | 'destroy'

export interface Reading {
  readonly options: ServerOptions
  readonly chunks: readonly Buffer[]
  /** What the listener does at each message; nothing at those behind. */
  readonly actions: readonly Action[]
  readonly end: End
}

/** What was told: messages in their order, other events in theirs, and the bytes sent back. */
export interface Told {
  readonly messages: unknown[]
  readonly others: unknown[]
  /** In hexadecimal digits. */
  readonly sent: string
}

/** Turns of the event loop in which ws emits all messages of a case, one in each. */
export const LATE = 100

/** A transport whose other end is the test. */
export class Wire extends Duplex {
  readonly sent: Buffer[] = []

  constructor () {
    super({ allowHalfOpen: true })
  }

  override _read (): void {}

  override _write (chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.sent.push(chunk)
    callback()
  }
}

/** A valid handshake, as ws looks at it. */
export function createRequest (): IncomingMessage {
  const request = new IncomingMessage(new Socket())
  request.method = 'GET'
  request.headers = {
    upgrade: 'websocket',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-version': '13'
  }
  return request
}

/**
 * What plain ws tells of a conversation. Where it defers messages, it gets all bytes as one chunk:
 * chunks that it queues behind a frame that it refuses make ws 8.23 throw into the process.
 */
export function readByWs (reading: Reading): Promise<Told> {
  const { options, chunks } = reading
  const { allowSynchronousEvents = true } = options
  return read(new WebSocketServer({ ...options, noServer: true }), {
    ...reading, chunks: allowSynchronousEvents ? chunks : [Buffer.concat(chunks)]
  })
}

/** What the sockets of this library tell. */
export function readHere (reading: Reading): Promise<Told> {
  return read(new WebSocketStreamServer({ ...reading.options, noServer: true }), reading)
}

async function read (
  server: { handleUpgrade: WebSocketServer['handleUpgrade'] },
  { options, chunks, actions, end }: Reading
): Promise<Told> {
  const messages: unknown[] = []
  const others: unknown[] = []
  const wire = new Wire()
  server.handleUpgrade(createRequest(), wire, Buffer.alloc(0), (socket: WebSocket) => {
    socket.on('message', (data, isBinary) => {
      // ws gives text as bytes, this library as a string.
      const bytes = Buffer.from(data as Buffer)
      messages.push([isBinary ? bytes.toString('hex') : bytes.toString(), isBinary])
      act(socket, actions[messages.length - 1] ?? 'nothing')
    })
    socket.on('ping', (data) => { others.push(['ping', data.toString('hex')]) })
    socket.on('pong', (data) => { others.push(['pong', data.toString('hex')]) })
    socket.on('error', (error) => { others.push(['error', error.message]) })
    socket.on('close', (code, reason) => { others.push(['close', code, reason.toString('hex')]) })
  })
  wire.sent.length = 0
  for (const chunk of chunks) {
    // Each gets its own, because both take the mask off in place.
    if (!wire.destroyed) wire.push(Buffer.from(chunk))
    await turn()
  }
  // ws defers what it has got, and would not answer it behind the end.
  const { allowSynchronousEvents = true } = options
  if (!allowSynchronousEvents) await turns(LATE)
  if (end === 'destroy') wire.destroy()
  else if (!wire.destroyed) wire.push(null)
  await turns(6)
  wire.destroy()
  await turns(3)
  return { messages, others, sent: Buffer.concat(wire.sent).toString('hex') }
}

/** Lets the event loop turn so many times. */
export async function turns (count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn()
}

/** Does what a listener does with a message. */
export function act (socket: WebSocket, action: Action): void {
  switch (action) {
    case 'pauses':
      socket.pause()
      setImmediate(() => { if (socket.readyState !== socket.CLOSED) socket.resume() })
      break
    case 'closes': socket.close(4000, 'enough'); break
    case 'terminates': socket.terminate(); break
    case 'nothing':
  }
}
