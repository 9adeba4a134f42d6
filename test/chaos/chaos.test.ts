// A short chaos, with a seed that does not change; `npm run chaos` is the long one.
import { once } from 'node:events'
import tap, { test } from 'tap'
import { startApplication } from './applications'
import { runCampaign } from './campaign'
import { enter } from './clients'
import { drawPlan, Random } from './random'
import { shrink } from './shrink'
import { drawSiege, type SiegePlan } from './siege'
import { SiegeProcess } from './siege-process'

const SEED = 1

const SIEGES = 12

// Twelve sieges that each take as long as they may, in two processes.
tap.setTimeout(180_000)

test('applications stand a chaos of clients', async (t) => {
  const { failures, faults, applications } = await runCampaign({
    seed: SEED,
    sieges: SIEGES,
    seconds: Infinity,
    shrinkSeconds: 0,
    say: (line) => { t.comment(line) }
  })
  t.comment(faults)
  t.equal(applications, SIEGES)
  t.strictSame(failures.map(({ siege, outcome }) => ({ siege, outcome })), [])
})

test('the short chaos has applications of each version of HTTP', async (t) => {
  const plans = Array.from({ length: SIEGES }, (_, siege) => drawSiege(SEED + siege))
  const versions = new Set(plans.map(({ application: { http2 } }) => http2))
  t.same([...versions].sort(), ['alone', 'beside HTTP/1', 'without TLS', undefined])
})

test('a siege that went wrong is seen', async (t) => {
  const cases = [
    ['watched', 'uncaught', 'uncaught'], ['bare', 'uncaught', 'crash'], ['bare', 'late', 'late'],
    ['bare', 'left', 'left'], ['watched', 'let in', 'let in']
  ] as const
  await Promise.all(cases.map(async ([guards, sabotage, fault]) => {
    const process = new SiegeProcess(guards)
    t.teardown(() => process.end())
    const outcome = await process.run({ application: { sabotage }, clients: [], closesAfter: 0 })
    t.equal(outcome?.fault, fault, `${sabotage} in a ${guards} process`)
  }))
})

test('a late client asks for its upgrade when close() has begun', async (t) => {
  const application = await startApplication({})
  t.teardown(() => application.end())
  const { server } = application.fastify
  const seen: string[] = []
  server.on('request', ({ url = '' }) => { seen.push(url) })
  server.on('upgrade', ({ url = '' }) => { seen.push(url) })
  const visitor = enter({ before: '/slow', late: 0 }, application)
  await once(server, 'request')
  const closed = application.close()
  seen.push('close()')
  visitor.goHome()
  await Promise.all([closed, visitor.left])
  t.strictSame(seen, ['/slow', 'close()', '/echo'])
})

test('a seed repeats its sieges, and another one has others', async (t) => {
  t.strictSame(drawSiege(SEED), drawSiege(SEED))
  t.notSame(drawSiege(SEED), drawSiege(SEED + 1))
})

test('a choice of a plan does not change those that come after it', async (t) => {
  const table = { a: [1, 'x', 'y', 'z'], b: [0.5, true], c: [1, 1, 2, 3] } as const
  const without = { ...table, a: [0, 'x', 'y', 'z'] } as const
  for (let seed = 0; seed < 20; seed++) {
    const { a, ...rest } = drawPlan(new Random(seed), table)
    t.type(a, 'string')
    t.strictSame(drawPlan(new Random(seed), without), rest)
  }
})

test('a failure is shrunk to the options and the clients that make it', async (t) => {
  const plan: SiegePlan = {
    application: { tls: true, heartbeat: 30, deflate: true },
    clients: [{ via: 'ws' }, { before: '/hang', isDeaf: true, after: 5 }, {}, { path: '/echo/' }],
    closesAfter: 0
  }
  const shrunk = await shrink(plan, async ({ application, clients }) => {
    return application.heartbeat === 30 && clients.some(({ before }) => before === '/hang')
  })
  t.strictSame(shrunk, {
    application: { heartbeat: 30 }, clients: [{ before: '/hang' }], closesAfter: 0
  })
})

test('a failure that cannot be repeated stays as it is', async (t) => {
  const plan = drawSiege(SEED, 8)
  t.strictSame(await shrink(plan, async () => false), plan)
  t.strictSame(await shrink(plan, async () => true, () => true), plan)
})
