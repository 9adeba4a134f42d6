import Fastify from 'fastify'
import { listenFastify } from './listen.js'

export async function start () {
  return await listenFastify(Fastify())
}
