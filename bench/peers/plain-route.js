/** Declares the plain HTTP route that the work `http` requests. */
export function addPlainRoute (fastify) {
  fastify.get('/plain', () => ({ hello: 'world' }))
}
