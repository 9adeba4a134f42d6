// The other end of the terminal: what you type goes to the shell, and what it says comes here.
import { createWebSocketStream, WebSocket } from 'ws'

const url = process.argv[2] ?? 'ws://127.0.0.1:3000/terminal'
const connection = createWebSocketStream(new WebSocket(url))

process.stdin.pipe(connection, { end: false })
// To end the connection would end the shell before it has answered.
process.stdin.on('end', () => { connection.write('exit\n') })
connection.pipe(process.stdout)

connection.on('error', (error) => {
  console.error(error.message)
  process.exitCode = 1
})
connection.on('close', () => { process.stdin.destroy() })
