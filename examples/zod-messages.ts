// Messages that Zod validates and types: a list of things to do, shared by all who connect.
import Fastify from 'fastify'
import fastifyWebsocket, { type SocketStream } from 'fastify-websocket'
import {
  serializerCompiler, validatorCompiler, type ZodTypeProvider
} from 'fastify-type-provider-zod'
import { z } from 'zod'

const TaskSchema = z.object({
  title: z.string().trim().min(1).max(100),
  /** A date on the wire, a Date in the handler, and a date again when it is sent. */
  due: z.codec(z.iso.date(), z.date(), {
    decode: (day) => new Date(day),
    encode: (date) => date.toISOString().slice(0, 10)
  })
})
type Task = z.output<typeof TaskSchema>

const ChangeSchema = z.discriminatedUnion('type', [
  TaskSchema.extend({ type: z.literal('add') }),
  z.object({ type: z.literal('done'), title: z.string() })
])

const ListSchema = z.object({ tasks: z.array(TaskSchema) })
type List = z.output<typeof ListSchema>

const fastify = Fastify({ logger: { level: 'warn' } }).withTypeProvider<ZodTypeProvider>()
fastify.setValidatorCompiler(validatorCompiler)
fastify.setSerializerCompiler(serializerCompiler)
fastify.register(fastifyWebsocket)

const tasks = new Map<string, Task>()
const connections = new Set<SocketStream<z.output<typeof ChangeSchema>, List>>()

fastify.get('/tasks', {
  websocket: true,
  schema: { incoming: ChangeSchema, outgoing: ListSchema }
}, (connection) => {
  connections.add(connection)
  connection.on('close', () => { connections.delete(connection) })
  connection.write(list())
  connection.on('data', (change) => {
    if (change.type === 'add') tasks.set(change.title, { title: change.title, due: change.due })
    else tasks.delete(change.title)
    for (const each of connections) each.socket.send(each.serialize(list()))
  })
})

/** The tasks, the next one first. */
function list (): List {
  return { tasks: [...tasks.values()].sort((a, b) => a.due.getTime() - b.due.getTime()) }
}

fastify.listen({
  port: Number(process.env.PORT ?? 3000),
  host: process.env.HOST ?? '127.0.0.1'
}).then(
  (address) => { console.log(`Tasks on ${address}`) },
  (error: Error) => {
    console.error(error.message)
    process.exitCode = 1
  }
)
