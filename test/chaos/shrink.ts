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

async function shrinkClients (plan: SiegePlan, fails: Fails): Promise<SiegePlan> {
  const clients = await shrinkList(plan.clients, async (clients) => {
    return await fails({ ...plan, clients })
  })
  return { ...plan, clients }
}

/** Leaves out as many items at a time as it can: all, half of them, a quarter, at last each. */
async function shrinkList<Item> (
  items: readonly Item[], fails: (fewer: readonly Item[]) => Promise<boolean>
): Promise<readonly Item[]> {
  let best = items
  for (let size = items.length; size >= 1; size = Math.floor(size / 2)) {
    for (let start = 0; start < best.length;) {
      const fewer = best.filter((_item, i) => i < start || i >= start + size)
      if (await fails(fewer)) best = fewer
      else start += size
    }
  }
  return best
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
  // `Object.fromEntries` has no type for names that belong to values.
  const from = (entries: ReadonlyArray<[string, unknown]>): Options => {
    return Object.fromEntries(entries) as Options
  }
  return from(await shrinkList(Object.entries(options), (entries) => fails(from(entries))))
}
