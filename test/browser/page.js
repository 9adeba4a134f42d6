// What the page of the tests runs: a client that misses nothing, so `next` gives the next message
// whether it has come already or not, and rejects if none can come any more.

globalThis.Client = class {
  events = []
  received = 0
  #unread = []
  #waiting = []

  constructor (url, protocols) {
    this.socket = new WebSocket(url, protocols)
    for (const type of ['open', 'error', 'close']) {
      this.socket.addEventListener(type, () => { this.events.push(type) })
    }
    this.socket.addEventListener('message', ({ data }) => { this.#receive(data) })
    this.closed = new Promise((resolve) => {
      this.socket.addEventListener('close', ({ code, reason, wasClean }) => {
        resolve({ code, reason, wasClean })
      })
    })
    const opened = new Promise((resolve) => { this.socket.addEventListener('open', resolve) })
    this.ready = Promise.race([opened, this.closed])
  }

  next () {
    if (this.#unread.length > 0) return Promise.resolve(this.#unread.shift())
    const lost = this.closed.then(({ code }) => { throw new Error(`closed with ${code}`) })
    return Promise.race([new Promise((resolve) => { this.#waiting.push(resolve) }), lost])
  }

  #receive (data) {
    this.received += data.length ?? data.byteLength ?? data.size
    const waiting = this.#waiting.shift()
    if (waiting === undefined) this.#unread.push(data)
    else waiting(data)
  }
}
