// One siege: an application, its clients, and a `close()` in the middle of it. It is judged by what
// has to hold whatever the application and the clients do.
import { inspect } from 'node:util'
import {
  CLOSE_TIMEOUT, drawApplication, startApplication, type Application, type ApplicationPlan
} from './applications'
import { drawClient, enter, type ClientPlan } from './clients'
import { wait } from './handlers'
import { Random } from './random'

/** All that is random about a siege. */
export interface SiegePlan {
  readonly application: ApplicationPlan
  readonly clients: readonly ClientPlan[]
  /** Milliseconds until the application closes. */
  readonly closesAfter: number
}

/** What a siege may end with. */
export type Fault = 'uncaught' | 'late' | 'left' | 'let in'

/** How a siege ended; null if the application stood it. */
export type Verdict = { readonly fault: Fault, readonly detail: string } | null

const CLIENTS = 120

/** Milliseconds that the plugin gives a client to read its refusal. */
const LINGER_TIMEOUT = 2_000

/** Milliseconds by which a busy machine may be late. On an idle one it is less than a tenth. */
const DELAY = 1_500

/** Milliseconds that `close()` may take. */
const CLOSE_PATIENCE = CLOSE_TIMEOUT + LINGER_TIMEOUT + DELAY

/** Milliseconds after `close()` until nothing may be left: a client may just have been refused. */
const END_PATIENCE = LINGER_TIMEOUT + DELAY

/** Draws a siege. */
export function drawSiege (seed: number, count = CLIENTS): SiegePlan {
  const random = new Random(seed)
  return {
    application: drawApplication(random),
    clients: Array.from({ length: count }, () => drawClient(random)),
    // Before the first handshake, in the midst of them, or when most clients have had their say.
    closesAfter: random.pick([0, 50, 200])
  }
}

/**
 * Runs a siege to its end.
 *
 * @param uncaught where a listener puts what has reached the process, if there is one
 */
export async function runSiege (plan: SiegePlan, uncaught: readonly unknown[]): Promise<Verdict> {
  const resources = countResources()
  const application = await startApplication(plan.application)
  const visitors = plan.clients.map((client) => enter(client, application))
  await wait(plan.closesAfter)
  const closing = settle(application.close())
  for (const visitor of visitors) visitor.goHome()
  const closed = await within(CLOSE_PATIENCE, closing)
  const verdict = judgeClose(closed, application) ?? await judgeRest(application)

  for (const visitor of visitors) visitor.cutOff()
  await within(END_PATIENCE, Promise.all([application.end(), ...visitors.map(({ left }) => left)]))
  const isClean = verdict !== null || await soon(() => countResources() <= resources)
  const entered = visitors.findIndex(({ wasLetIn }) => wasLetIn)
  if (entered !== -1 || application.leaks() > 0) {
    return { fault: 'let in', detail: `${application.leaks()} times` }
  }
  if (uncaught.length > 0) return { fault: 'uncaught', detail: describe(uncaught[0]) }
  if (verdict !== null || isClean) return verdict
  return { fault: 'left', detail: process.getActiveResourcesInfo().join(' ') }
}

/** What `close()` came to: nothing, or an error. */
interface Settled { readonly error: unknown }

function settle (promise: Promise<void>): Promise<Settled> {
  return promise.then(() => ({ error: null }), (error: unknown) => ({ error }))
}

function judgeClose (closed: Settled | undefined, { fastify, connections }: Application): Verdict {
  if (closed?.error === null) return null
  const detail = closed === undefined
    ? `${countClients(fastify)} clients and ${connections.size} connections still there`
    : `close() has failed: ${describe(closed.error)}`
  return { fault: 'late', detail }
}

/** What must not be there any more, a moment after the application is closed. */
async function judgeRest (application: Application): Promise<Verdict> {
  const { fastify, plan, connections } = application
  const clients = (): number => countClients(fastify)
  if (!await soon(() => clients() === 0)) return { fault: 'left', detail: `${clients()} clients` }
  // A server that was given goes on, and so do its plain connections.
  if (plan.givenServer || plan.twin !== undefined) return null
  // A client that was refused in memory has time to read it: no server waits for it.
  if (await soon(() => connections.size === 0)) return null
  return { fault: 'left', detail: `${connections.size} connections` }
}

/** As far as ws counts them: with `clientTracking: false` it does not. */
function countClients ({ websocketServer }: Application['fastify']): number {
  const clients: ReadonlySet<unknown> | undefined = websocketServer.clients
  return clients?.size ?? 0
}

/** Undefined if it takes too long. */
async function within<T> (ms: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => { resolve(undefined) }, ms)
  })
  const first = await Promise.race([promise, late])
  clearTimeout(timer)
  return first
}

/** Whether it becomes true in time. */
async function soon (isTrue: () => boolean): Promise<boolean> {
  const end = performance.now() + END_PATIENCE
  while (!isTrue()) {
    if (performance.now() > end) return false
    // No event tells that a set is empty or that a resource is gone.
    await wait(10)
  }
  return true
}

/** Sockets and timers that keep the process alive. */
function countResources (): number {
  return process.getActiveResourcesInfo().filter((name) => RESOURCE.test(name)).length
}

const RESOURCE = /TCP|TLS|Timeout/

/** An error in a line or two, whatever it is. */
function describe (error: unknown): string {
  return inspect(error).split('\n').slice(0, 4).join(' ')
}
