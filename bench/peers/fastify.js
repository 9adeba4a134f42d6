import Fastify from 'fastify'
import { listenFastify } from '../lib/loopback.js'
import { addPlainRoute } from './plain-route.js'

export async function start () {
  const fastify = Fastify()
  addPlainRoute(fastify)
  return await listenFastify(fastify)
}
