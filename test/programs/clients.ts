// Clients of other libraries, for tests in which their servers run beside the plugin.
import { io } from 'socket.io-client'
import { WebSocket } from 'ws'
import type { WebsocketProvider } from 'y-websocket' with { 'resolution-mode': 'import' }
import type { Doc } from 'yjs' with { 'resolution-mode': 'import' }
import type { Teardown } from '../helpers/servers'

/** Connects a client of Socket.IO, says hello, and returns the answer. */
export async function sayHello (
  t: Teardown, origin: string, transports: string[]
): Promise<unknown> {
  const socket = io(origin, { transports, forceNew: true, reconnection: false })
  t.teardown(() => { socket.disconnect() })
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('connect_error', reject)
  })
  return socket.emitWithAck('hello', 'Ada')
}

/** A client of Yjs that edits a document. */
export class Editor {
  readonly #doc: Doc
  readonly #provider: WebsocketProvider

  private constructor (doc: Doc, provider: WebsocketProvider) {
    this.#doc = doc
    this.#provider = provider
  }

  /** Begins to edit the document `name` as `user`, until the test ends, once the server sent it. */
  static async open (t: Teardown, url: string, name: string, user: string): Promise<Editor> {
    const { Doc } = await import('yjs')
    const { WebsocketProvider } = await import('y-websocket')
    const doc = new Doc()
    const provider = new WebsocketProvider(url, name, doc, {
      // The type that it wants is that of a browser.
      WebSocketPolyfill: WebSocket as unknown as typeof globalThis.WebSocket,
      disableBc: true
    })
    provider.awareness.setLocalStateField('user', user)
    const editor = new Editor(doc, provider)
    t.teardown(() => { editor.leave() })
    await new Promise((resolve) => { provider.once('sync', resolve) })
    return editor
  }

  get text (): string {
    return this.#doc.getText('text').toString()
  }

  leave (): void {
    this.#provider.destroy()
    this.#doc.destroy()
  }

  /** Writes at the beginning. */
  write (text: string): void {
    this.#doc.getText('text').insert(0, text)
  }

  /** Waits until the text of the document is `text`. */
  async see (text: string): Promise<void> {
    while (this.text !== text) {
      await new Promise<void>((resolve) => { this.#doc.once('update', () => { resolve() }) })
    }
  }

  /** Waits until these are all users that the client knows of. */
  async seeUsers (...users: string[]): Promise<void> {
    const { awareness } = this.#provider
    const names = () => [...awareness.getStates().values()].map(({ user }) => user).sort()
    while (names().join() !== users.join()) {
      await new Promise<void>((resolve) => { awareness.once('update', () => { resolve() }) })
    }
  }
}
