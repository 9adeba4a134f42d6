import type { SiegePlan } from './siege'

/** Whether a smaller plan fails as the whole one did. */
type Fails = (plan: SiegePlan) => Promise<boolean>

/**
 * The smallest plan that it finds and that still fails: first with fewer clients, then without the
 * options that do not matter. It stops when `isOver`, with what it has by then.
 */
export async function shrink (
  plan: SiegePlan, fails: Fails, isOver: () => boolean = () => false
): Promise<SiegePlan> {
  const failsInTime: Fails = async (smaller) => !isOver() && await fails(smaller)
  const few = await shrinkClients(plan, failsInTime)
  const plain = await shrinkApplication(few, failsInTime)
  return await shrinkEachClient(plain, failsInTime)
}

/** Leaves out as many clients at a time as it can: half of them, a quarter, at last each alone. */
async function shrinkClients (plan: SiegePlan, fails: Fails): Promise<SiegePlan> {
  let best = plan
  for (let size = Math.ceil(plan.clients.length / 2); size >= 1; size = nextSize(size)) {
    for (let start = 0; start < best.clients.length;) {
      const clients = best.clients.filter((_client, i) => i < start || i >= start + size)
      const smaller = { ...best, clients }
      if (await fails(smaller)) best = smaller
      else start += size
    }
    if (size === 1) break
  }
  return best
}

function nextSize (size: number): number {
  return Math.ceil(size / 2)
}

async function shrinkApplication (plan: SiegePlan, fails: Fails): Promise<SiegePlan> {
  const application = await shrinkOptions(plan.application, async (application) => {
    return await fails({ ...plan, application })
  })
  return { ...plan, application }
}

async function shrinkEachClient (plan: SiegePlan, fails: Fails): Promise<SiegePlan> {
  let best = plan
  for (const [i, client] of plan.clients.entries()) {
    const smaller = await shrinkOptions(client, async (client) => {
      return await fails({ ...best, clients: replaced(best.clients, i, client) })
    })
    best = { ...best, clients: replaced(best.clients, i, smaller) }
  }
  return best
}

function replaced<Item> (items: readonly Item[], index: number, item: Item): Item[] {
  return items.map((other, i) => i === index ? item : other)
}

/** Leaves out the options without which it fails all the same. */
async function shrinkOptions<Options extends object> (
  options: Options, fails: (smaller: Options) => Promise<boolean>
): Promise<Options> {
  let best = options
  for (const name of Object.keys(options)) {
    const smaller = { ...best, [name]: undefined }
    Reflect.deleteProperty(smaller, name)
    if (await fails(smaller)) best = smaller
  }
  return best
}
